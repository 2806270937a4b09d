/**
 * The notifier: one run of the program that `--notify` names.
 *
 *     reaper, relay or report ── setsid (ends at once)
 *     sh (leads a session of its own; its parent is process 1)
 *      ├── printf   (writes the event into the program's standard input)
 *      ├── PROGRAM  (leads another session)
 *      └── sh ── sleep (after 10 s it signals the shell, which kills the program's process group)
 *
 * It runs apart from its session: it doesn't descend from a process of the session, it isn't in
 * a kernel session that one of them leads, and it has no `CODEX_SESSION_DIR`. Otherwise `stop` would
 * wait for it and end it. While `setsid` starts, only its arguments show that: see
 * {@linkcode isNotifier}.
 *
 * The relay and `report` start it by `Deno.Command`, the reaper by exec, as its last act. So a reaper
 * forks nothing for it. Both know setsid(1) as the program that forks and goes on in a session of its
 * own if its caller leads a process group.
 *
 * The outcome goes into a file that exists since the creation, through a descriptor that was opened
 * before the program started: no file comes into being in a directory that is being deleted. The line
 * always has the same length, so that one write replaces the one before, even on a full disk.
 *
 * @module
 */
import { SessionError } from "../errors.ts";
import type { Meta } from "../store.ts";
import { findProgram } from "../system/files.ts";
import { OS } from "../system/os.ts";

/** How long a notifier may run, in seconds. */
const LIMIT_SECONDS = 10;
/** The length of the line in `notify.json`, without its end. */
const OUTCOME_BYTES = 127;
/** The most that a notifier gets to read of a session, in characters. */
const MAX_SESSION = 32 * 1024;
/** By this argument a notifier is known. */
const NAME = "codex-session-notifier";

/** The content of `notify.json` before the first notifier has ended. */
export const NO_OUTCOME: string = "null".padEnd(OUTCOME_BYTES) + "\n";

// sh -c SCRIPT NAME SETSID PROGRAM JSON ENDING FILE, in the session's directory.
//
// ENDING is how the agent has ended, as the reaper records it, or nothing: then JSON is the whole
// event, else its rest. FILE is notify.json, or nothing.
//
// Only this shell kills the program, because its number is safe until this shell has reaped it. So the
// timer signals this shell, by way of its group, which holds no other process than the notifier's.
// That interrupts `wait`, and the trap kills the program's group if the program is still a child here:
// it may have been reaped just before. SIGUSR2 is a signal that neither the reaper nor the relay
// ignores; a shell can't trap one that it finds ignored.
//
// The last line ends all of this shell's own group, itself included.
const SCRIPT = `umask 077
exec 3<&-
[ -z "$5" ] || [ -h "$5" ] || [ ! -f "$5" ] || exec 3<"$5"
at=$(command -p date -u +%Y-%m-%dT%H:%M:%SZ) json=$3 name=\${4#* }
case $4 in
  code*) json="\\"ending\\":{\\"code\\":$name},$json" ;;
  signal*) [ "$name" -gt 31 ] || name=$(kill -l "$name")
    json="\\"ending\\":{\\"signal\\":\\"SIG$name\\"},$json" ;;
esac
[ -z "$4" ] || json="{\\"at\\":\\"$at\\",\\"id\\":\\"$CODEX_SESSION_ID\\",\\"type\\":\\"exited\\",$json"
late= parent=
trap 'while read -r key value; do
    [ "$key" != PPid: ] || parent=$value
  done <"/proc/$program/status"
  [ "$parent" != $$ ] || { late=y; kill -s KILL -- "-$program"; }' USR2
command -p printf '%s\\n' "$json" | { cd / && exec "$1" "$2" >/dev/null 2>&1 3<&-; } &
program=$!
( command -p sleep ${LIMIT_SECONDS}; kill -s USR2 0 ) 3<&- &
wait "$program"; status=$?
trap '' USR2
[ -n "$late" ] && how='"timedOut":true' || how="\\"exitStatus\\":$status"
[ ! -e /proc/self/fd/3 ] || command -p printf '%-${OUTCOME_BYTES}s\\n' "{\\"at\\":\\"$at\\",\\"event\\":\\"$CODEX_SESSION_EVENT\\",$how}" 1<>/proc/self/fd/3
kill -s KILL 0`;

/** The program of a session's notifier, and what starts it. */
export interface Notifier {
  /** The path of setsid(1). */
  readonly setsid: string;
  /** The program's absolute path. */
  readonly program: string;
  /** The end of an event's JSON, which tells of the session: it begins within the object. */
  readonly tail: string;
}

/**
 * The notifier of a session; `undefined` if it has none.
 *
 * @throws {SessionError} `unsupported` where it can't be started.
 */
export function notifierOf(meta: Meta): Notifier | undefined {
  const { notify: program } = meta;
  if (program === undefined) return undefined;
  const setsid = OS.hasProc ? findProgram("setsid") : undefined;
  if (setsid === undefined) {
    const why = OS.hasProc
      ? "it needs setsid(1), which is not in /usr/local/bin, /usr/bin or /bin"
      : `it is not supported on ${OS.name}`;
    throw new SessionError("unsupported", `Cannot use --notify: ${why}`);
  }
  return { setsid, program, tail: tailOf(meta) };
}

/** What an event tells of its session. Long arguments and labels are left out. */
function tailOf({ kind, prompt, cwd, labels, argv }: Meta): string {
  const rest = [{ labels, argv }, { labels }, {}]
    .map((more) => asciiJson({ session: { kind, prompt, cwd, ...more } }))
    .find((json) => json.length <= MAX_SESSION);
  return (rest ?? asciiJson({ session: { kind, prompt } })).slice(1);
}

/** JSON in ASCII: shells and `printf` in any locale leave it alone. */
function asciiJson(value: unknown): string {
  return JSON.stringify(value).replace(
    /[^\x20-\x7e]/g,
    (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}

/**
 * The command line that starts a notifier for an event that isn't the session's end, in its directory.
 *
 * @param event The event's fields.
 */
export function notifierCommand(
  { setsid, program, tail }: Notifier,
  event: object,
): string[] {
  const json = `${asciiJson(event).slice(0, -1)},${tail}`;
  const args = [setsid, program, json, "", "notify.json"];
  return [setsid, "/bin/sh", "-c", SCRIPT, NAME, ...args];
}

/**
 * The part of the reaper's script that starts a notifier, as its last act: a function `tell`, which
 * takes the ending and the name of the file for the outcome.
 */
export function tellFunction({ setsid, program, tail }: Notifier): string {
  const args = [NAME, setsid, program, tail].map(quoted).join(" ");
  return `tell() {
  _status=\${1#* }; case $1 in signal*) _status=$((128 + _status)) ;; esac
  CODEX_SESSION_EVENT=exited CODEX_SESSION_EXIT_STATUS=$_status
  export CODEX_SESSION_EVENT CODEX_SESSION_EXIT_STATUS
  unset -v CODEX_SESSION_DIR CODEX_SESSION_MESSAGE
  _n=0 # What a terminal's relay is to give its agent: see environment.ts.
  while [ $_n -le 21 ]; do unset -v CODEX_SESSION_AGENT_ENV_$_n; _n=$((_n + 1)); done
  case $- in *B*) _p=-p ;; *) _p= ;; esac # bash
  exec ${quoted(setsid)} /bin/sh $_p -c ${quoted(SCRIPT)} ${args} "$1" "$2"
}
`;
}

/** A word in single quotes, in which a shell interprets nothing. */
function quoted(word: string): string {
  return `'${word.replaceAll("'", "'\\''")}'`;
}

/**
 * Tells by its arguments whether a process starts or supervises a notifier. Any process can have such
 * arguments, just as any can leave its session.
 */
export function isNotifier(argv: readonly string[]): boolean {
  const at = argv.indexOf("-c");
  return at > 0 && at <= 3 && argv[at + 2] === NAME;
}
