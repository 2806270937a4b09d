/**
 * Opens the page in the user's browser.
 *
 * Every user of the machine can list its processes and their arguments. So the browser isn't called
 * with the URL, which holds the token, but with a file that only the user can read and that leads
 * there. No shell takes part.
 *
 * @module
 */
import { join } from "../std.ts";
import { OS } from "../system/os.ts";

/** Calls a browser. The file stays until the result is disposed of. */
export function openBrowser(
  url: string,
  failed: (error: unknown) => void,
): Disposable {
  let dir: string | undefined;
  try {
    dir = Deno.makeTempDirSync({ prefix: "codex-session-" });
    const file = join(dir, "page.html");
    Deno.writeTextFileSync(file, pageTo(url), { mode: 0o600, createNew: true });
    const child = new Deno.Command(OS.opener, {
      args: [file],
      stdin: "null",
      stdout: "null",
      stderr: "null",
    }).spawn();
    child.unref();
    child.status.then(({ success, code }) => {
      if (!success) failed(new Error(`${OS.opener} ended with ${code}`));
    }, failed);
  } catch (error) {
    failed(error);
  }
  return {
    [Symbol.dispose]() {
      if (dir === undefined) return;
      try {
        Deno.removeSync(dir, { recursive: true });
      } catch {
        // It is gone, or the system's business by now.
      }
    },
  };
}

/** A page that leads on. The URL is our own, and holds nothing that HTML would read otherwise. */
function pageTo(url: string): string {
  return `<!DOCTYPE html>
<meta charset="utf-8">
<meta name="referrer" content="no-referrer">
<meta http-equiv="refresh" content="0; url=${url}">
<title>codex-session</title>
`;
}
