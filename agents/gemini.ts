/**
 * Gemini CLI. Read in the help and the documents of version 0.61, not tried with a model.
 *
 * Its conversations are files whose names hold eight letters of their ids only, and no process
 * tells which one is its own. So a conversation is known if its id was chosen. Its terminal's
 * title tells what it is doing: read in its sources, `packages/cli/src/utils/windowTitle.ts`.
 *
 * @module
 */
import type { Agent, AgentStatus } from "./agent.ts";
import { withNewId } from "./command_line.ts";
import { isUuid, messageIn } from "./transcript.ts";

const program = () => ["gemini"];

/** Gemini CLI. */
export const GEMINI: Agent = {
  name: "gemini",
  programs: ["gemini"],
  packages: /gemini-cli/,
  npmPackage: "@google/gemini-cli",
  // What it sets for tool calls.
  markers: ["GEMINI_CLI"],
  commands: {
    exec: {
      program,
      needsPrompt: true,
      // -p takes the next argument, whatever that is.
      start: (args, newId) => [...chosen(args, newId), "-p", ...args],
      begin: (prompt, newId) => [...chosen([], newId), `--prompt=${prompt}`],
      resume: (id, prompt) =>
        prompt === undefined
          ? undefined
          : ["--resume", id, `--prompt=${prompt}`],
    },
    pty: {
      program,
      start: (args, newId) => [...chosen(args, newId), ...args],
      begin: (prompt, newId) => [
        ...chosen([], newId),
        `--prompt-interactive=${prompt}`,
      ],
      resume: (id, prompt) => {
        const rest = prompt === undefined
          ? []
          : [`--prompt-interactive=${prompt}`];
        return ["--resume", id, ...rest];
      },
    },
  },
  idInArguments: (args) => {
    const id = idAfter(args, "--session-id") ?? idAfter(args, "--resume");
    return id ?? idAfter(args, "-r");
  },
  withNewId,
  ownOptions: /^--(prompt|session-id|resume)(=|$)|^-[pr]/,
  support: { status: "read", answer: "no", resume: "read" },
  statusOfTitle,
};

// Escapes, because the bundle keeps regular expressions as they are: one character beyond Latin-1
// doubles the memory that V8 needs for all of its text.
const BLOCKED = /^\u270b +Action Required/; // ✋
const WORKING = /^\u23f2 +Working\u2026/; // ⏲ …
const READY = /^\u25c7 +Ready/; // ◇
/** What it thinks about, if the user has it shown. */
const THINKING = /^\u2726 +(.*)/; // ✦

function statusOfTitle(title: string): AgentStatus | undefined {
  if (BLOCKED.test(title)) return { value: "blocked" };
  if (WORKING.test(title)) return { value: "working" };
  if (READY.test(title)) return { value: "idle" };
  const [, message] = THINKING.exec(title) ?? [];
  return message === undefined
    ? undefined
    : { value: "working", message: messageIn(message) };
}

function chosen(args: readonly string[], newId?: string): readonly string[] {
  const choices = /^(--(session-id|session-file|resume)(=|$)|-r)/;
  const isChosen = newId === undefined || args.some((arg) => choices.test(arg));
  return isChosen ? [] : ["--session-id", newId];
}

function idAfter(args: readonly string[], name: string): string | undefined {
  const at = args.indexOf(name);
  const id = at < 0 ? undefined : args[at + 1];
  return isUuid(id) ? id : undefined;
}
