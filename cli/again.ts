/**
 * The commands that take up an earlier session: `resume`, `restart`.
 *
 * @module
 */
import { type Handler, type Io, onlyOperand } from "./io.ts";
import type { Parsed } from "./options.ts";
import { environmentOf, start } from "./start.ts";
import { ArgumentError } from "../errors.ts";
import { makeWay, type Plan, planRestart, planResume } from "../run/again.ts";
import { resolveSelector, type Session } from "../session/find.ts";

/** `resume`: a new session goes on with the conversation of an earlier one. */
export const resume: Handler = async (call, io) => {
  const [selector, ...words] = call.operands;
  if (selector === undefined) {
    throw new ArgumentError("Missing argument: expected a session");
  }
  const session = await resolveSelector(selector);
  const isTerminal = call.flags.has("tty");
  const isExec = call.flags.has("exec");
  if (isTerminal && isExec) {
    throw new ArgumentError("Cannot use --tty with --exec: choose one");
  }
  const kind = isTerminal ? "pty" : isExec ? "exec" : undefined;
  const plan = await planResume(session, {
    ...optionsOf(call, io),
    ...(words.length > 0 && { prompt: words.join(" ") }),
    ...(kind !== undefined && { kind }),
    agentArgs: call.values.get("arg") ?? [],
  });
  return await begin(session, plan, call, io);
};

/** `restart`: a new session repeats the command of an earlier one. */
export const restart: Handler = async (call, io) => {
  const session = await resolveSelector(onlyOperand(call, "a session"));
  const plan = planRestart(session, optionsOf(call, io));
  return await begin(session, plan, call, io);
};

function optionsOf(call: Parsed, io: Io) {
  return {
    force: call.flags.has("force"),
    env: environmentOf(call),
    onNotice: (notice: string) => io.err(`codex-session: ${notice}\n`),
  };
}

async function begin(
  session: Session,
  plan: Plan,
  call: Parsed,
  io: Io,
): Promise<number> {
  await makeWay(session);
  return await start(call, io, plan);
}
