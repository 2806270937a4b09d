/**
 * The command that checks the machine: `doctor`.
 *
 * @module
 */
import { FAILED, type Handler, type Io, noOperands, OK } from "./io.ts";
import { configErrors, configPath } from "./config.ts";
import { diagnose, type Diagnosis } from "../doctor/diagnose.ts";
import { messageOf } from "../errors.ts";
import { exists } from "../system/files.ts";
import { formatTable, harmless, harmlessJson } from "./format.ts";
import { green, red, yellow } from "../std.ts";

/** `doctor`: a line for each finding, or JSON; the status is 1 if one is an error. */
export const doctor: Handler = async (call, io) => {
  noOperands(call);
  const diagnoses = [...await diagnose(), ...checkConfig()];
  io.out(
    io.json
      ? harmlessJson(diagnoses, 2) + "\n"
      : linesOf(diagnoses, io).map((line) => `${line}\n`).join(""),
  );
  return diagnoses.some(({ status }) => status === "error") ? FAILED : OK;
};

/** Checks the user's defaults, which only the command line knows. */
function checkConfig(): Diagnosis[] {
  const check = "config file";
  const path = configPath();
  const errors = configErrors();
  if (errors.length > 0) {
    const advice = "correct it, or remove it";
    return errors.map((message) => ({
      check,
      status: "error",
      message,
      advice,
    }));
  }
  try {
    const message = path === undefined
      ? "HOME is not set, so there is no config file"
      : exists(path)
      ? `read ${path}`
      : `${path} does not exist, so there are no defaults`;
    return [{ check, status: "ok", message }];
  } catch (error) {
    const message = `Deno lacks a permission: ${messageOf(error)}`;
    return [{ check, status: "error", message, advice: "run it with -A" }];
  }
}

const COLORS = { ok: green, warning: yellow, error: red };

/** Lines are never cut to the terminal's width: the advice is at the end. */
function linesOf(diagnoses: readonly Diagnosis[], io: Io): string[] {
  const rows = diagnoses.map(({ check, status, message, advice }) => [
    status,
    check,
    harmless(advice === undefined ? message : `${message} → ${advice}`),
  ]);
  return formatTable(rows, []).map((line, i) => {
    const { status } = diagnoses[i]!;
    return io.color ? line.replace(status, COLORS[status]) : line;
  });
}
