/**
 * The session's terminal or log. A stand-in: only its place.
 *
 * @module
 */
import type { Row } from "../../views/row.ts";
import type { Api } from "./api.ts";
import { make } from "./dom.ts";

/** What shows a session. */
export interface ShownSession {
  update(row: Row): void;
  focus(): void;
  dispose(): void;
}

/** Shows it in the element. */
export function showSession(
  host: HTMLElement,
  _row: Row,
  _context: {
    readonly readOnly: boolean;
    readonly api: Api;
    onRow(listener: (row: Row) => void): () => void;
  },
): ShownSession {
  const place = make("pre", { tabindex: "0" });
  host.append(place);
  return {
    update() {},
    focus: () => place.focus(),
    dispose: () => place.remove(),
  };
}
