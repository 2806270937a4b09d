/**
 * Lists a program's system calls with strace(1), and injects signals and errors into them.
 *
 * The calls of a program are deterministic except for names in the root. So a first run under
 * strace lists the calls that touch the root, each with its ordinal among the calls of that
 * name, and each further run injects at one ordinal. The trace of that run shows whether it
 * hit the intended call.
 *
 * @module
 */
import type { Case, Context, Fault } from "./fault.ts";

/** One system call that touches the root. */
export interface Call {
  readonly name: string;
  /** Its place among the calls of its name, or on its path if that is literal, from 1. */
  readonly ordinal: number;
  /** The path below the root, without what changes from run to run. */
  readonly about: string;
  /** Whether the path is the same in every run. */
  readonly literal: boolean;
}

/** The errors that are injected. */
const ERRORS = ["ENOSPC", "EIO", "EACCES", "EMFILE", "EINTR"];

/** The calls in a trace that touch the root. */
export function callsIn(log: string, root: string): Call[] {
  const counts = new Map<string, number>();
  const count = (key: string): number => {
    counts.set(key, (counts.get(key) ?? 0) + 1);
    return counts.get(key)!;
  };
  const calls: Call[] = [];
  for (const line of log.split("\n")) {
    const name = /^(?:\d+ +)?(\w+)\(/.exec(line)?.[1];
    if (name === undefined) continue;
    const among = count(name);
    if (!line.includes(root) || name === "execve") continue;
    const at = line.indexOf(root) + root.length;
    const below = /^[^">]*/.exec(line.slice(at))![0];
    const about = below.replace(/\.(new|old)-[\w-]+/, ".$1")
      .replace(/\.\d+\.\w*tmp/, ".tmp");
    // Reads of /proc vary in number, so ordinals on a constant path are more reliable. strace
    // can't select calls by the address of a socket.
    const literal = about === below && !["bind", "connect"].includes(name);
    const ordinal = literal ? count(`${name} ${about}`) : among;
    calls.push({ name, ordinal, about, literal });
  }
  return calls;
}

/** The options that make strace inject at a call. */
export function injectAt(call: Call, what: string, root: string): string[] {
  const { name, ordinal, about, literal } = call;
  return [
    ...(literal ? ["-P", root + about] : []),
    ...["-e", `trace=${name}`],
    ...["-e", `inject=${name}:${what}:when=${ordinal}`],
  ];
}

/**
 * Tells whether a call can really fail. Closing a directory can't, and Rust panics if it does.
 * And close(2) frees a descriptor even if it fails, while an injected error leaves it open.
 */
function canFail({ name, about }: Call): boolean {
  return name !== "close" ||
    /\/[^/.]+\/[^/]+$/.test(about) && !about.endsWith("/ready.pipe");
}

/** The cases at one call, each with a name: SIGKILL without `errors`, else those it can give. */
export function* casesAt(
  call: Call,
  errors: readonly string[],
  caseOf: (what: string) => Case,
): Generator<readonly [string, Case]> {
  const where = `${call.name}#${call.ordinal} ${call.about}`;
  if (errors.length === 0) yield [`KILL at ${where}`, caseOf("signal=KILL")];
  for (const error of canFail(call) ? errors : []) {
    yield [`${error} at ${where}`, caseOf(`error=${error}`)];
  }
}

/** A program that {@linkcode brokenAtCalls} breaks. */
interface Broken {
  /** The end of the faults' names. */
  readonly name: string;
  /** The program, in words. */
  readonly subject: string;
  readonly skip: Fault["skip"];
  /** The cases that inject these errors; SIGKILL without any. */
  readonly cases: (
    errors: readonly string[],
  ) => AsyncIterable<readonly [string, Case]>;
}

/** Two faults of a program: SIGKILL at each of its system calls, and errors from each. */
export function brokenAtCalls(
  { name, subject, skip, cases }: Broken,
): { readonly kill: Fault; readonly error: Fault } {
  const inject =
    (errors: readonly string[], least: number): Fault["run"] =>
    async (context) => {
      await context.injectAll(await collect(context, cases(errors), least));
    };
  return {
    kill: {
      name: `kill-${name}`,
      about: `SIGKILL at each call of ${subject}`,
      skip,
      run: inject([], 3),
    },
    error: {
      name: `error-${name}`,
      about: `${ERRORS.join(", ")} from each call of ${subject}`,
      skip,
      run: inject(ERRORS, 2),
    },
  };
}

/** The cases, or a sample of them with `--short`. */
async function collect(
  { short, random }: Context,
  cases: AsyncIterable<readonly [string, Case]>,
  count: number,
): Promise<(readonly [string, Case])[]> {
  const all = await Array.fromAsync(cases);
  return short ? random.sample(all, count) : all;
}

/** Why strace can't inject here; `undefined` if it can. */
export function needsStrace(): string | undefined {
  return statusOf("strace -V") !== 0
    ? "strace is not installed"
    : statusOf("strace -qq -o /dev/null true") !== 0
    ? "strace may not trace here"
    : undefined;
}

let attaching: number | undefined;

/** Why strace can't inject into a process that it has not started; `undefined` if it can. */
export function needsAttaching(): string | undefined {
  // 124: strace was still attached when timeout(1) ended it.
  attaching ??= statusOf(
    "sleep 5 & timeout 0.3 strace -qq -o /dev/null -p $!; code=$?; kill $!; exit $code",
  );
  return needsStrace() ??
    (attaching === 124
      ? undefined
      : "strace may not attach to processes here, see ptrace(2), ptrace_scope");
}

/** The exit status of a shell command. */
function statusOf(script: string): number {
  const none = { stdin: "null", stdout: "null", stderr: "null" } as const;
  return new Deno.Command("sh", { args: ["-c", script], ...none })
    .outputSync().code;
}
