/**
 * Starting the Codex agents of the first two kinds in a given directory.
 *
 * @module
 */
import { checkStringRecord, checkStrings } from "./arguments.ts";
import { SessionError } from "./errors.ts";
import {
  alreadyThere,
  launch,
  newMeta,
  prepare,
  type Prepared,
  type ProcessOptions,
  requireMainThread,
} from "./launch.ts";
import type { Pids } from "./state.ts";
import { remove } from "./system/files.ts";
import { resolve } from "./std.ts";
import {
  checkDirectory,
  type Kind,
  makeDirectory,
  type Paths,
} from "./store.ts";

/** Options of {@linkcode spawnExec} and {@linkcode spawnRepl}. */
export interface SpawnOptions extends ProcessOptions {
  /**
   * The program, a name or path, alone or with leading arguments.
   *
   * @default {"codex-exec"} or `"codex-repl"`
   */
  readonly program?: string | readonly string[];
}

/**
 * Starts a non-interactive agent in the directory of `paths`: `codex-exec` with
 * `args` verbatim, standard input from `/dev/null`, output appended to
 * `stdout.log` and `stderr.log`, in a session of its own with SIGHUP ignored.
 * Returns the process ids as soon as the program runs.
 *
 * Needs `--allow-read` and `--allow-write` of the directory, `--allow-env` and
 * `--allow-ffi`.
 *
 * @throws {SessionError} `exists`, `program_not_found`, `not_executable`,
 * `cwd_missing`, `spawn_failed`, or `unsupported` on Windows and in a Worker; what was
 * made for it is gone then.
 *
 * @example
 * ```ts
 * import { pathsFor, spawnExec } from "./mod.ts";
 * const paths = pathsFor("hello", { root: Deno.makeTempDirSync() });
 * const { agent } = await spawnExec(paths, ["hello"], { program: "echo" });
 * console.log(agent > 0);
 * ```
 */
export function spawnExec(
  paths: Paths,
  args: readonly string[],
  options: SpawnOptions = {},
): Promise<Pids> {
  return spawnAt(paths, "exec", args, { program: "codex-exec", ...options });
}

/**
 * Starts an interactive agent like {@linkcode spawnExec} starts another: program
 * `codex-repl`, standard input from the named pipe `stdin.pipe`, whose end of file
 * comes only when it is sent.
 *
 * @throws {SessionError} as {@linkcode spawnExec} does.
 *
 * @example
 * ```ts
 * import { pathsFor, spawnRepl } from "./mod.ts";
 * const paths = pathsFor("talk", { root: Deno.makeTempDirSync() });
 * const { agent } = await spawnRepl(paths, [], { program: "cat" });
 * Deno.kill(agent);
 * ```
 */
export function spawnRepl(
  paths: Paths,
  args: readonly string[],
  options: SpawnOptions = {},
): Promise<Pids> {
  return spawnAt(paths, "repl", args, { program: "codex-repl", ...options });
}

/** What makes a directory another session's, or would be believed of the new one. */
const RECORDS: readonly string[] = [
  ...["lock", "meta.json", "pid", "exit", "stop.json"],
  ...["stdout.log", "stderr.log", "reaper.log", "reaper.sh", "scope.log"],
];

async function spawnAt(
  paths: Paths,
  kind: Kind,
  args: readonly string[],
  options: SpawnOptions,
): Promise<Pids> {
  requireMainThread(paths.id);
  const { program = [], env = {}, ...rest } = options;
  checkStrings("args", args);
  if (typeof program !== "string") checkStrings("program", program);
  checkStringRecord("env", env);
  const cwd = resolve(options.cwd ?? Deno.cwd());
  const argv = [
    ...(typeof program === "string" ? [program] : program),
    ...args,
  ];
  const made = makeDirectory(paths.dir);
  checkDirectory(paths.dir);
  const before = new Set([...Deno.readDirSync(paths.dir)].map((e) => e.name));
  const taken = RECORDS.find((name) => before.has(name));
  if (taken !== undefined) {
    const what = taken === "lock" ? "a session" : `the file ${taken}`;
    throw alreadyThere(paths.id, what);
  }
  let prepared: Prepared | undefined;
  try {
    prepared = prepare(
      paths,
      newMeta({ id: paths.id, kind, argv, cwd, env }),
    );
    return await launch(paths, prepared, {
      ...rest,
      argv,
      cwd,
      env,
      pipe: kind === "repl",
    });
  } catch (error) {
    // Another was quicker, in starting or in deleting: what is there is his.
    if (error instanceof SessionError && error.code === "exists") throw error;
    if (prepared && !await prepared.hold.lock()) throw error;
    if (made) remove(paths.dir);
    else {
      for (const { name } of [...Deno.readDirSync(paths.dir)]) {
        if (!before.has(name)) remove(`${paths.dir}/${name}`);
      }
    }
    throw error;
  } finally {
    prepared?.[Symbol.dispose]();
  }
}
