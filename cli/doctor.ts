/**
 * The command that looks at the machine: `doctor`.
 *
 * @module
 */
import { FAILED, type Handler, type Io, OK } from "./io.ts";
import { diagnose, type Diagnosis } from "../doctor/diagnose.ts";
import { ArgumentError } from "../errors.ts";
import { formatTable, harmless, harmlessJson } from "./format.ts";

/** `doctor`: a line for each finding, or JSON; the status tells whether one is an error. */
export const doctor: Handler = async (call, io) => {
  const [operand] = call.operands;
  if (operand !== undefined) {
    throw new ArgumentError(`doctor takes no operand, got "${operand}"`);
  }
  const diagnoses = await diagnose();
  io.out(
    io.json
      ? harmlessJson(diagnoses, 2) + "\n"
      : linesOf(diagnoses, io).map((line) => `${line}\n`).join(""),
  );
  return diagnoses.some(({ status }) => status === "error") ? FAILED : OK;
};

const COLORS = { ok: "\x1b[32m", warning: "\x1b[33m", error: "\x1b[31m" };

/** Never cut to the terminal's width: the end of a line says what to do. */
function linesOf(diagnoses: readonly Diagnosis[], io: Io): string[] {
  const rows = diagnoses.map(({ check, status, message, advice }) => [
    status,
    check,
    harmless(advice === undefined ? message : `${message} → ${advice}`),
  ]);
  return formatTable(rows, []).map((line, i) => {
    const { status } = diagnoses[i]!;
    return io.color ? line.replace(status, `${COLORS[status]}$&\x1b[0m`) : line;
  });
}
