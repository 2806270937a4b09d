/**
 * Which agent a command line starts.
 *
 * @module
 */
import type { Agent } from "./agent.ts";
import { AGENTS } from "./agents.ts";
import { basename } from "../std.ts";

/** Programs that run a package of npm, with the words before its name. */
const RUNNERS: readonly (readonly string[])[] = [
  ["npx"],
  ["bunx"],
  ["pnpx"],
  ["npm", "exec"],
  ["npm", "x"],
  ["pnpm", "dlx"],
  ["yarn", "dlx"],
];

/** A known agent, and the arguments that it gets. */
export interface Recognized {
  /** The agent. */
  readonly agent: Agent;
  /** What stands behind its program. */
  readonly args: readonly string[];
}

/**
 * The agent that a command line starts, by the name of its program: `codex`, `npx @openai/codex`,
 * or `node` with one of its scripts. `undefined` for all others, a shell's command lines among
 * them: whatever they start is a process of its own.
 */
export function recognizeAgent(
  argv: readonly string[],
): Recognized | undefined {
  const [program = "", ...args] = argv;
  const name = basename(program);
  const agent = AGENTS.find(({ programs }) => programs.includes(name));
  if (agent !== undefined) return { agent, args };
  const words = [name, ...args];
  const runner = RUNNERS.find((runner) =>
    runner.every((word, at) => words[at] === word)
  );
  if (runner !== undefined) return recognizePackage(words.slice(runner.length));
  if (!["node", "bun", "deno"].includes(name)) return undefined;
  return recognizeScript(args);
}

/** Behind `npx` and its like. An option with a value, such as `-p PACKAGE`, hides the package. */
function recognizePackage(words: readonly string[]): Recognized | undefined {
  const flags = ["-y", "--yes", "--", "-q", "--quiet"];
  const at = words.findIndex((word) => !flags.includes(word));
  const [, name] = /^(@?[^@]+)(@.*)?$/.exec(words[at] ?? "") ?? [];
  // `npx codex` runs the program of a package that is installed.
  const agent = AGENTS.find(({ npmPackage, programs }) =>
    npmPackage === name || programs.includes(name!)
  );
  return agent && { agent, args: words.slice(at + 1) };
}

/** A script in the folder of an agent's package, or a link that has the program's name. */
function recognizeScript(args: readonly string[]): Recognized | undefined {
  const at = args.findIndex((arg) => !arg.startsWith("-"));
  const script = args[at] ?? "";
  // Without a slash, it may be the value of an option: node -e codex.
  if (!script.includes("/")) return undefined;
  const agent = AGENTS.find(({ npmPackage, programs }) =>
    script.includes(`/node_modules/${npmPackage}/`) ||
    programs.includes(basename(script))
  );
  return agent && { agent, args: args.slice(at + 1) };
}
