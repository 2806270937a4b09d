/**
 * What becomes of the tabs when the server is started again, with another token and so in another
 * folder: whoever opens the new URL takes the tabs along that have lost the old server.
 *
 * Only pages of this server's own origin hear each other.
 *
 * @module
 */

/** A folder of a page, as `web/gate.ts` names it. */
const FOLDER = /^\/[\w-]{8}\/$/;

/** Tells other tabs where this page is, and goes where another one is once this one `isLost`. */
export function followSuccessor(isLost: () => boolean): void {
  const channel = new BroadcastChannel("codex-session");
  channel.onmessage = ({ data }) => {
    const isOther = data !== location.pathname;
    if (typeof data === "string" && FOLDER.test(data) && isOther && isLost()) {
      location.replace(data + location.hash);
    }
  };
  channel.postMessage(location.pathname);
}
