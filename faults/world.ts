/**
 * A world for one case: a state directory, agents that keep a diary, canaries.
 *
 *     DIR/root/      the state directory under test
 *     DIR/diary/ID   the diary of session ID's agent
 *     DIR/outside/   canary files, which nothing may touch
 *     DIR/canary.log signals that reached the canary process, which looks like another
 *                    session's agent
 *     DIR/mine       files of the case itself
 *
 * An agent writes a line to its diary only after it wrote the line to the log, and its exit
 * code right before exiting: the diary never claims more than happened.
 *
 * @module
 */
import { CLI } from "../tests/helpers.ts";

/** A process as the kernel shows it, read without the product's code. */
export interface Seen {
  readonly pid: number;
  readonly startTicks: string;
  readonly state: string;
  readonly command: string;
  /** The session directory that its environment names. */
  readonly owner: string | undefined;
}

/** What an agent has written down about itself. */
interface Diary {
  readonly id: string;
  readonly pid: number | undefined;
  /** The lines that it has written to its log. */
  readonly lines: readonly string[];
  /** Its exit code, written right before it exits. */
  readonly exit: number | undefined;
}

/** The default exit code of an agent: none of the command line's own statuses. */
export const CODE = 7;

/** How an agent behaves. */
interface AgentOptions {
  /** Lines to write. @default {5} */
  readonly lines?: number;
  /** Seconds between them. @default {0} */
  readonly pause?: number;
  /** Seconds to live on after them. @default {0} */
  readonly linger?: number;
  /** Its exit code. @default {CODE} */
  readonly code?: number;
}

// $1 diaries, $2 lines, $3 pause, $4 linger, $5 code
const AGENT = `diary=$1/$CODEX_SESSION_ID
echo "pid $$" >"$diary" || exit 99
i=0
while [ $i -lt $2 ]; do
  i=$((i + 1))
  echo "line $i" && echo "line line $i" >>"$diary"
  [ "$3" = 0 ] || sleep "$3"
done
[ "$4" = 0 ] || sleep "$4"
echo "exit $5" >>"$diary"
exit $5
`;

// $1 diaries, $2 code. Without echo, so that a terminal's log holds only what the agent writes.
const ECHO = `diary=$1/$CODEX_SESSION_ID
[ ! -t 0 ] || stty -echo
echo "pid $$" >"$diary" || exit 99
while IFS= read -r line; do
  printf '%s\\n' "$line" && printf 'line %s\\n' "$line" >>"$diary"
done
echo "exit $2" >>"$diary"
exit $2
`;

// Writes down every signal that can be caught. It waits without a child process.
const CANARY = `for s in HUP INT QUIT USR1 USR2 PIPE ALRM TERM CONT WINCH; do
  trap "echo $s >>$1/canary.log" $s
done
exec 3<>"$1/canary.pipe"
echo ready >"$1/canary.ready"
while :; do read -r _ <&3; done
`;

/** One case's world; disposing of it ends its processes and removes its files. */
export class World implements AsyncDisposable {
  /** All worlds that exist now. */
  static readonly all: Set<World> = new Set();

  readonly dir: string;
  readonly root: string;
  readonly #canary: Deno.ChildProcess;
  readonly #canaryTicks: string;
  readonly #outside: string;

  /** Makes a world, in the folder `in` if given. */
  static async make(options: { readonly in?: string } = {}): Promise<World> {
    const dir = Deno.makeTempDirSync({
      prefix: "codex-faults-",
      dir: options.in,
    });
    Deno.mkdirSync(`${dir}/root`, { mode: 0o700 });
    Deno.mkdirSync(`${dir}/diary`);
    Deno.mkdirSync(`${dir}/outside/folder`, { recursive: true });
    Deno.mkdirSync(`${dir}/bin`);
    Deno.writeTextFileSync(`${dir}/outside/file`, "precious\n");
    Deno.writeTextFileSync(`${dir}/outside/folder/file`, "precious too\n");
    Deno.writeTextFileSync(`${dir}/bin/agent`, AGENT);
    Deno.writeTextFileSync(`${dir}/bin/echo`, ECHO);
    await new Deno.Command("mkfifo", { args: [`${dir}/canary.pipe`] }).output();
    const canary = new Deno.Command("/bin/sh", {
      args: ["-c", CANARY, "sh", dir],
      env: {
        CODEX_SESSION_ID: "canary",
        CODEX_SESSION_DIR: `${dir}/root2/canary`,
      },
      stdin: "null",
      stdout: "null",
      stderr: "null",
    }).spawn();
    while (!there(`${dir}/canary.ready`)) await pause(2);
    return new World(dir, canary);
  }

  private constructor(dir: string, canary: Deno.ChildProcess) {
    this.dir = dir;
    this.root = `${dir}/root`;
    this.#canary = canary;
    this.#canaryTicks = see(canary.pid)!.startTicks;
    this.#outside = this.#lookOutside();
    World.all.add(this);
  }

  /** The command of an agent that writes lines. */
  agent(options: AgentOptions = {}): string[] {
    const { lines = 5, pause = 0, linger = 0, code = CODE } = options;
    return ["sh", `${this.dir}/bin/agent`, `${this.dir}/diary`, `${lines}`]
      .concat([`${pause}`, `${linger}`, `${code}`]);
  }

  /** The command of an agent that writes each line that it reads. */
  echo(code = CODE): string[] {
    return ["sh", `${this.dir}/bin/echo`, `${this.dir}/diary`, `${code}`];
  }

  /** The diaries of all agents. */
  diaries(): Diary[] {
    return [...Deno.readDirSync(`${this.dir}/diary`)].map(({ name }) => {
      const text = Deno.readTextFileSync(`${this.dir}/diary/${name}`);
      const said = (word: string) =>
        text.split("\n").filter((line) => line.startsWith(`${word} `))
          .map((line) => line.slice(word.length + 1));
      const [pid] = said("pid");
      const [exit] = said("exit");
      return {
        id: name,
        pid: pid === undefined ? undefined : Number(pid),
        lines: said("line"),
        exit: exit === undefined ? undefined : Number(exit),
      };
    });
  }

  /** The processes that belong to sessions of this root. */
  processes(): Seen[] {
    return seeAll().filter(({ owner }) => owner?.startsWith(`${this.root}/`));
  }

  /** What was done to canaries. */
  harm(): string[] {
    const harm: string[] = [];
    const canary = see(this.#canary.pid);
    if (canary?.startTicks !== this.#canaryTicks) {
      harm.push("the canary process was killed");
    } else if (canary.state === "T") {
      harm.push("the canary process was stopped");
    }
    if (there(`${this.dir}/canary.log`)) {
      const log = Deno.readTextFileSync(`${this.dir}/canary.log`);
      harm.push(`the canary process was sent ${log.trim().replace("\n", " ")}`);
    }
    const outside = this.#lookOutside();
    if (outside !== this.#outside) {
      harm.push(
        `outside the root: before ${this.#outside}, now ${outside}`,
      );
    }
    return harm;
  }

  #lookOutside(): string {
    const seen: unknown[] = [
      [...Deno.readDirSync(this.dir)].map(({ name }) => name)
        .filter((name) => !name.startsWith("canary.") && name !== "mine")
        .sort(),
    ];
    for (const path of ["file", "folder", "folder/file"]) {
      const full = `${this.dir}/outside/${path}`;
      if (!there(full)) {
        seen.push([path, "gone"]);
        continue;
      }
      const { mode, mtime, size, ino, isFile } = Deno.lstatSync(full);
      const content = isFile ? Deno.readTextFileSync(full) : "";
      seen.push([path, mode, mtime, size, ino, content]);
    }
    return JSON.stringify(seen);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (let round = 0; round < 20; round++) {
      const left = this.processes();
      if (left.length === 0) break;
      for (const { pid } of left) kill(pid, "SIGKILL");
      await pause(5);
    }
    World.all.delete(this);
    kill(this.#canary.pid, "SIGKILL");
    await this.#canary.status;
    // The root may be a mounted disk if the case was interrupted.
    await new Deno.Command("umount", {
      args: ["-lq", this.root],
      stderr: "null",
    }).output();
    await new Deno.Command("rm", { args: ["-rf", this.dir] }).output();
  }
}

/** Sends a signal to a process, if it still exists. */
export function kill(pid: number, signal: Deno.Signal): void {
  try {
    Deno.kill(pid, signal);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}

/** A process; `undefined` if it is gone or a zombie. */
export function see(pid: number): Seen | undefined {
  try {
    const stat = Deno.readTextFileSync(`/proc/${pid}/stat`);
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    const state = fields[0]!;
    if ("ZX".includes(state)) return undefined;
    const environment = Deno.readTextFileSync(`/proc/${pid}/environ`);
    const owner = environment.split("\0")
      .find((entry) => entry.startsWith("CODEX_SESSION_DIR="));
    const command = Deno.readTextFileSync(`/proc/${pid}/cmdline`);
    return {
      pid,
      state,
      startTicks: fields[19]!,
      command: command.replaceAll("\0", " ").trim(),
      owner: owner?.slice(owner.indexOf("=") + 1),
    };
  } catch {
    return undefined; // Gone, or another user's.
  }
}

/** All processes. */
export function seeAll(): Seen[] {
  return [...Deno.readDirSync("/proc")]
    .filter(({ name }) => /^\d+$/.test(name))
    .map(({ name }) => see(Number(name)))
    .filter((seen) => seen !== undefined);
}

/** Tells whether a path exists, a dangling link included. */
export function there(path: string): boolean {
  try {
    Deno.lstatSync(path);
    return true;
  } catch {
    return false;
  }
}

/** Waits for so many milliseconds. */
export async function pause(ms: number): Promise<void> {
  await new Promise((wake) => setTimeout(wake, ms));
}

/** Waits until a condition holds; `false` if it doesn't in time. */
export async function until(
  condition: () => boolean | Promise<boolean>,
  ms = 5000,
): Promise<boolean> {
  for (const end = performance.now() + ms; performance.now() < end;) {
    if (await condition()) return true;
    await pause(5);
  }
  return await condition();
}

/** The result of a command line. */
export interface Ended {
  /** Its exit status, 128+n for signal n; `null` if it hung and was killed. */
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** How to run the command line. */
export interface CliOptions {
  /** The program and its leading arguments. @default {CLI} */
  readonly program?: readonly string[];
  /** Words before it, such as strace's. */
  readonly prefix?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  readonly stdin?: string;
  /** After so many milliseconds it counts as hanging. @default {20000} */
  readonly timeoutMs?: number;
}

/** Runs the command line on a root to its end, or kills it when it hangs. */
export async function cli(
  root: string,
  args: readonly string[],
  options: CliOptions = {},
): Promise<Ended> {
  const { prefix = [], env, stdin, timeoutMs = 20_000 } = options;
  const [first, ...rest] = [...prefix, ...(options.program ?? CLI), ...args];
  const child = new Deno.Command(first!, {
    args: rest,
    env: { CODEX_SESSION_HOME: root, NO_COLOR: "1", ...env },
    stdin: stdin === undefined ? "null" : "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  let hangs = false;
  const timer = setTimeout(() => {
    hangs = true;
    kill(child.pid, "SIGKILL");
  }, timeoutMs);
  if (stdin !== undefined) {
    const writer = child.stdin.getWriter();
    const bytes = new TextEncoder().encode(stdin);
    writer.write(bytes).then(() => writer.close()).catch(() => {});
  }
  const { code, stdout, stderr } = await child.output();
  clearTimeout(timer);
  const decoder = new TextDecoder();
  return {
    code: hangs ? null : code,
    stdout: decoder.decode(stdout),
    stderr: decoder.decode(stderr),
  };
}

/** Complains unless a command line succeeded, or failed with an allowed status and one clear line. */
export function complainOf(
  ended: Ended,
  allowed: readonly number[] = [0, 1, 2, 3, 4, 124, 126, 127],
  good: readonly number[] = [0],
): string[] {
  const { code, stderr } = ended;
  const shown = JSON.stringify(stderr.slice(0, 600));
  if (code === null) return [`the command hangs; its standard error: ${shown}`];
  const complaints: string[] = [];
  if (!allowed.includes(code)) {
    complaints.push(`status ${code}; standard error: ${shown}`);
  }
  const lines = stderr.split("\n").filter((line) => line !== "");
  if (/^\s+at |\bUncaught\b|^error:/m.test(stderr)) {
    complaints.push(`a stack trace: ${shown}`);
  } else if (!good.includes(code)) {
    // A hint or prune's summary may follow.
    const told = lines.filter((line) => !/^(Try: |Deleted \d)/.test(line));
    if (told.length === 0) {
      complaints.push(`it failed with ${code}, silently`);
    }
    if (told.length > 1) complaints.push(`more than one line: ${shown}`);
  }
  if (STEERING.test(stderr.replaceAll("\t", ""))) {
    complaints.push(`control characters on standard error: ${shown}`);
  }
  return complaints;
}

/** Characters that steer a terminal or hide text, except the end of a line. */
export const STEERING =
  // deno-lint-ignore no-control-regex
  /[\x00-\x09\x0b-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]|\udb40/;

/** Complains about control characters in standard output, unless it is the agent's output. */
export function steering(stdout: string, args: readonly string[]): string[] {
  if (args[0] === "logs" && !args.includes("--plain")) return [];
  const found = STEERING.exec(stdout);
  if (found === null) return [];
  const code = found[0].charCodeAt(0).toString(16);
  return [`it prints the character U+${code.padStart(4, "0")}`];
}
