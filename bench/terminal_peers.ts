/**
 * Programs that keep terminal sessions: this project and the peers that are installed. All
 * sessions have the same size, start in the background, and are attached to in a window.
 *
 * @module
 */
import { createSession } from "../session/create.ts";
import { type Bench, BUNDLE, denoRun, timeCall } from "./measure.ts";
import { isInstalled } from "./peers.ts";
import { SIZE } from "./window.ts";

/** A program that keeps terminals. */
export interface Keeper {
  /** Its name in tables. */
  readonly title: string;
  /** Starts `argv` on a terminal in the background. */
  readonly start: (
    bench: Bench,
    name: string,
    argv: readonly string[],
  ) => void | Promise<void>;
  /** The command line of a client. */
  readonly attach: (bench: Bench, name: string) => readonly string[];
}

/** This project. */
export const OURS: Keeper = {
  title: "codex-session",
  start: async ({ root }, id, command) => {
    await createSession({ root, id, kind: "pty", command, ...SIZE });
  },
  attach: (_bench, id) => denoRun(BUNDLE, "attach", id),
};

const tmux = ({ dir }: Bench, name: string) => [
  ...["tmux", "-f", "/dev/null", "-S", `${dir}/tmux-${name}`],
];

const SCREEN = ["screen", "-c", "/dev/null"];

const PEERS: readonly Keeper[] = [
  {
    title: "dtach",
    start: ({ dir, env }, name, argv) => {
      timeCall({ argv: ["dtach", "-n", `${dir}/${name}`, ...argv], env });
    },
    attach: ({ dir }, name) => ["dtach", "-a", `${dir}/${name}`, "-r", "none"],
  },
  {
    title: "tmux",
    start: (bench, name, argv) => {
      const size = ["-x", `${SIZE.columns}`, "-y", `${SIZE.rows}`];
      const create = ["new-session", "-d", ...size, ...argv];
      timeCall({ argv: [...tmux(bench, name), ...create], env: bench.env });
    },
    attach: (bench, name) => [...tmux(bench, name), "attach-session"],
  },
  {
    title: "screen",
    start: ({ env }, name, argv) => {
      timeCall({ argv: [...SCREEN, "-dmS", name, ...argv], env });
    },
    attach: (_bench, name) => [...SCREEN, "-x", name],
  },
];

/** The installed ones, and a note that names the others. */
export function findKeepers(): { peers: readonly Keeper[]; notes: string[] } {
  const missing = PEERS.filter(({ title }) => !isInstalled(title));
  return {
    peers: PEERS.filter((peer) => !missing.includes(peer)),
    notes: missing.length === 0
      ? []
      : [`not found: ${missing.map(({ title }) => title).join(", ")}`],
  };
}
