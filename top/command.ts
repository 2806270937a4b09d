/**
 * The command `top`: the dashboard.
 *
 * @module
 */
import { FAILED, type Handler, noOperands } from "../cli/io.ts";
import type { Row } from "../views/row.ts";

/** `top`: shows sessions, the most urgent first, until the user leaves. */
// deno-lint-ignore require-await
export const top: Handler = async (call, io) => {
  noOperands(call);
  const rows: Row[] = [];
  io.err(`codex-session: top is being built (${rows.length} rows)\n`);
  return FAILED;
};
