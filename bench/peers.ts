/**
 * Programs that do part of the same work, for comparison. Those that are not installed are
 * left out. Each keeps its sockets and files in the directory of the bench.
 *
 * @module
 */
import type { Bench, Call } from "./measure.ts";

/** A program that starts others in the background. */
export interface Peer {
  /** Its row in the table. */
  readonly title: string;
  /** The program that must be installed. */
  readonly program: string;
  /** The call that starts `argv`; `turn` is different each time. */
  readonly start: (
    bench: Bench,
    turn: number,
    argv: readonly string[],
  ) => Call;
  /** The call that starts its server, if it needs one. */
  readonly server?: (bench: Bench) => Call;
}

const IDLE = ["sleep", "600"];

function tmux(bench: Bench, socket: string, argv: readonly string[]): Call {
  const options = ["-S", `${bench.dir}/${socket}`, "-f", "/dev/null"];
  return {
    argv: ["tmux", ...options, "new-session", "-d", ...argv],
    env: bench.env,
  };
}

/** By default tsp runs one job at a time; here all must run at once. */
function tsp(bench: Bench, argv: readonly string[]): Call {
  const env = {
    ...bench.env,
    TS_SOCKET: `${bench.dir}/tsp`,
    TS_SLOTS: "1000",
    TS_MAXFINISHED: "1",
  };
  return { argv: ["tsp", "-n", ...argv], env };
}

/** All peers, the lightest first. */
export const PEERS: readonly Peer[] = [
  {
    title: "nohup setsid CMD &",
    program: "setsid",
    start: ({ env }, _turn, argv) => ({
      argv: [
        ...["sh", "-c", 'nohup setsid "$@" </dev/null >/dev/null 2>&1 &', "sh"],
        ...argv,
      ],
      env,
    }),
  },
  {
    title: "dtach -n",
    program: "dtach",
    start: ({ dir, env }, turn, argv) => ({
      argv: ["dtach", "-n", `${dir}/dtach-${turn}`, ...argv],
      env,
    }),
  },
  {
    title: "nq",
    program: "nq",
    // One directory each, since the jobs of one directory wait for each other.
    start: ({ dir, env }, turn, argv) => ({
      argv: ["nq", "-q", ...argv],
      env: { ...env, NQDIR: `${dir}/nq-${turn}` },
    }),
  },
  {
    title: "tsp (its server runs)",
    program: "tsp",
    start: (bench, _turn, argv) => tsp(bench, argv),
    server: (bench) => tsp(bench, IDLE),
  },
  {
    title: "tmux new -d (its server runs)",
    program: "tmux",
    start: (bench, _turn, argv) => tmux(bench, "tmux", argv),
    server: (bench) => tmux(bench, "tmux", IDLE),
  },
  {
    title: "tmux new -d (starts it)",
    program: "tmux",
    start: (bench, turn, argv) => tmux(bench, `tmux-${turn}`, argv),
  },
  {
    title: "screen -dm",
    program: "screen",
    start: ({ env }, turn, argv) => ({
      argv: ["screen", "-c", "/dev/null", "-dmS", `bench-${turn}`, ...argv],
      env,
    }),
  },
];

/** Tells whether a program is on PATH. */
export function isInstalled(program: string): boolean {
  return (Deno.env.get("PATH") ?? "").split(":").some((folder) => {
    try {
      return Deno.statSync(`${folder}/${program}`).isFile;
    } catch {
      return false;
    }
  });
}

/** The installed ones, and a note that names the others. */
export function findPeers(): { peers: readonly Peer[]; notes: string[] } {
  const missing = PEERS.filter(({ program }) => !isInstalled(program));
  const names = [...new Set(missing.map(({ program }) => program))];
  return {
    peers: PEERS.filter((peer) => !missing.includes(peer)),
    notes: names.length === 0 ? [] : [`not found: ${names.join(", ")}`],
  };
}
