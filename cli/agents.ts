/**
 * The command that lists the known agents: `agents`.
 *
 * @module
 */
import { formatTable, harmless, harmlessJson } from "./format.ts";
import { type Handler, noOperands, OK } from "./io.ts";
import { listAgents } from "../doctor/agents.ts";
import { bold } from "../std.ts";

const HEADER = [
  ...["AGENT", "VERSION", "KINDS", "STATUS", "ANSWER", "RESUME", "PROGRAM"],
];

/** `agents`: a table, or JSON. */
export const agents: Handler = async (call, io) => {
  noOperands(call);
  const found = await listAgents();
  if (io.json) {
    io.out(harmlessJson(found, 2) + "\n");
    return OK;
  }
  const rows = found.map((one) => [
    ...[one.name, one.version ?? "-", one.kinds.join(" ")],
    ...[one.status, one.answer, one.resume],
    harmless(one.path ?? "not found on PATH"),
  ]);
  const lines = formatTable([HEADER, ...rows], []);
  io.out(
    lines.map((line, i) => `${i === 0 && io.color ? bold(line) : line}\n`)
      .join(""),
  );
  return OK;
};
