/**
 * What strace(1) tells of a program's system calls, and has it do to them.
 *
 * The calls of a program are deterministic up to the root's names. So a first run under
 * strace lists those that touch the root, each with its ordinal among the calls of that
 * name, and further runs inject at one ordinal each. Whether the call that was hit is the
 * one that was meant is read from the trace.
 *
 * @module
 */
import type { Case, Context, Fault } from "./fault.ts";

/** One system call that touches the root. */
export interface Call {
  readonly name: string;
  /** Which of the calls of its name, or of those on its path, from 1. */
  readonly ordinal: number;
  /** The path below the root, without what changes from run to run. */
  readonly about: string;
  /** The path is the same in every run. */
  readonly literal: boolean;
}

/** What is injected beside SIGKILL. */
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
    // How often /proc is read varies: a path that does not is a better measure. strace
    // knows none of a socket's address.
    const literal = about === below && !["bind", "connect"].includes(name);
    const ordinal = literal ? count(`${name} ${about}`) : among;
    calls.push({ name, ordinal, about, literal });
  }
  return calls;
}

/** What makes strace inject at a call. */
export function injectAt(call: Call, what: string, root: string): string[] {
  const { name, ordinal, about, literal } = call;
  return [
    ...(literal ? ["-P", root + about] : []),
    ...["-e", `trace=${name}`],
    ...["-e", `inject=${name}:${what}:when=${ordinal}`],
  ];
}

/**
 * Whether a call can fail: closing a directory never does, and Rust panics if it does; and
 * a descriptor that stays open, as if injected, never stays open: close(2) frees it.
 */
function canFail({ name, about }: Call): boolean {
  return name !== "close" ||
    /\/[^/.]+\/[^/]+$/.test(about) && !about.endsWith("/ready.pipe");
}

/** What can be done to a call, each with its name: SIGKILL, or with errors these of them that it can give. */
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

/** What {@linkcode brokenAtCalls} breaks. */
interface Broken {
  /** A part of the faults' names. */
  readonly name: string;
  /** What is broken, in words. */
  readonly subject: string;
  readonly skip: Fault["skip"];
  /** What to inject, given the errors; none of them means SIGKILL. */
  readonly cases: (
    errors: readonly string[],
  ) => AsyncIterable<readonly [string, Case]>;
}

/** The faults of what makes system calls: SIGKILL at each of them, and errors from each. */
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

/** The cases, or in short a sample of them. */
async function collect(
  { short, random }: Context,
  cases: AsyncIterable<readonly [string, Case]>,
  count: number,
): Promise<(readonly [string, Case])[]> {
  const all = await Array.fromAsync(cases);
  return short ? random.sample(all, count) : all;
}

/** Why nothing can be injected here. */
export function needsStrace(): string | undefined {
  return statusOf("strace -V") !== 0
    ? "strace is not installed"
    : statusOf("strace -qq -o /dev/null true") !== 0
    ? "strace may not trace here"
    : undefined;
}

let attaching: number | undefined;

/** Why nothing can be injected here into what is no child of ours. */
export function needsAttaching(): string | undefined {
  // Told to end after a moment, timeout(1) ends with 124.
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
