/**
 * The command `web`: the page in the browser.
 *
 * @module
 */
import { FAILED, type Handler, noOperands } from "../cli/io.ts";
import type { Row } from "../views/row.ts";

/** `web`: serves the page until Ctrl-C. */
// deno-lint-ignore require-await
export const web: Handler = async (call, io) => {
  noOperands(call);
  const rows: Row[] = [];
  io.err(`codex-session: web is being built (${rows.length} rows)\n`);
  return FAILED;
};
