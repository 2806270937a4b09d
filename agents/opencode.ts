/**
 * opencode. Read in the help of version 1.18, not tried with a model.
 *
 * Its conversations are rows of a database, so nothing of them is read.
 *
 * @module
 */
import type { Agent } from "./agent.ts";

/** opencode. */
export const OPENCODE: Agent = {
  name: "opencode",
  programs: ["opencode"],
  packages: /opencode/,
  npmPackage: "opencode-ai",
  // What it sets for itself and its tool calls.
  markers: ["OPENCODE", "OPENCODE_PID"],
  commands: {
    exec: {
      program: () => ["opencode", "run"],
      behind: () => ["run"],
      needsPrompt: true,
      start: (args) => args,
      resume: (id, prompt) =>
        prompt === undefined ? undefined : ["--session", id, "--", prompt],
    },
    pty: {
      program: () => ["opencode"],
      start: (args) => args,
      begin: (prompt) => [`--prompt=${prompt}`],
      resume: (id, prompt) => {
        const rest = prompt === undefined ? [] : [`--prompt=${prompt}`];
        return ["--session", id, ...rest];
      },
    },
  },
  idInArguments: (args) => {
    const at = args.findIndex((arg) => arg === "-s" || arg === "--session");
    const id = at < 0 || args.includes("--fork") ? undefined : args[at + 1];
    return id && /^ses_[A-Za-z0-9]{1,60}$/.test(id) ? id : undefined;
  },
  ownOptions: /^--session(=|$)|^-s/,
  support: { status: "no", answer: "no", resume: "read" },
};
