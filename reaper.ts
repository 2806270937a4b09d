/**
 * The reaper: the `/bin/sh` script that supervises one session.
 *
 *     creator ── sh (reaper: leads the session, holds the lock, waits)
 *                 ├── agent    (forked in the foreground, then exec'd)
 *                 ├── holder   (repl: keeps the pipe's write end open)
 *                 └── watchdog (with a timeout: ends the session after it)
 *
 * A shell, because it weighs 0.2 MB where a JavaScript process weighs 13 and
 * more, and because every host has one, however it was compiled. POSIX only;
 * tried with dash, bash, busybox and mksh. The script is a file of the session,
 * so that `ps` shows a line and not a page, and an upgrade never changes what a
 * running shell reads. No user's text becomes part of it: its own path tells the
 * directory, and the agent's arguments are positional parameters.
 *
 * Invariants: the agent is a foreground child, because POSIX has a shell without
 * job control ignore SIGINT and SIGQUIT in background ones for good; the pids
 * are on disk before the agent's exec; an end is recorded by one write of one
 * line, into a file that readers ignore until the line is complete. The reaper
 * forks nothing to record it, so that a full process table can't prevent it.
 *
 * @module
 */

/** The script's name in the session's directory. */
export const SCRIPT = "reaper.sh";

/** What the script must do beyond starting and waiting. */
export interface ReaperOptions {
  /** Serve `stdin.pipe`. @default {false} */
  readonly pipe?: boolean;
  /** The program is the relay of a terminal, which reports the agent's exec itself. @default {false} */
  readonly relay?: boolean;
  /** Stop the session after so many milliseconds. @default {undefined} */
  readonly timeoutMs?: number;
  /** Milliseconds from SIGTERM to SIGKILL after the timeout. @default {10000} */
  readonly graceMs?: number;
  /** Delete the session's directory once it has ended. @default {false} */
  readonly rm?: boolean;
}

// The holder's write end is opened without a reader by way of a descriptor that
// is both. It reads a pipe that the reaper and the agent hold open for writing:
// a line there (see `sendEof`) or the death of both ends it, never a signal.
const HOLDER = `
exec 7<>"$dir/stdin.pipe" 8>"$dir/stdin.pipe" 7<&- 6<>"$dir/eof.pipe"
( trap '' INT QUIT TERM USR1 USR2 PIPE ALRM
  exec 5<"$dir/eof.pipe" 6<&- 2>/dev/null; read -r _ <&5 ) &
holder=$!
exec 8>&-`;

// Signals every process that carries the session's directory in its environment,
// but for the reaper, the watchdog and the caller; $found tells whether there was
// one. A first grep over all, then each is confirmed right before its signal.
const SWEEP = `
sweep() {
  found=
  for p in $(cd /proc && command -p grep -lsF "CODEX_SESSION_DIR=$dir" [0-9]*/environ); do
    p=\${p%%/*}
    [ "$p" = $$ ] || [ "$p" = "$watchdog" ] || [ "$p" = "$self" ] ||
      ! command -p tr '\\0' '\\n' <"/proc/$p/environ" | command -p grep -qxF "CODEX_SESSION_DIR=$dir" ||
      ! kill -s "$1" "$p" || found=1
  done 2>/dev/null
}`;

// The group takes the signal first: it also holds what cleared its environment, and
// the reaper survives it. The agent's pid is good as long as the reaper waits for it; once
// the reaper is dead it may be a stranger's.
function watchdog(seconds: number, graceSeconds: number): string {
  return `
waited() {
  kill -s 0 $$ && kill -s 0 "$agent" &&
    { ! [ -e /proc/$$ ] || command -p grep -qsx "PPid:.$$" "/proc/$agent/status"; }
}
( trap 'kill "$!"; exit' TERM
  exec 2>/dev/null
  command -p sleep ${seconds} & wait "$!"
  self=$(exec sh -c 'echo $PPID')
  ours "$dir/pid" && read -r _ agent _ <"$dir/pid"
  umask 077
  ours "$dir/stop.json" && echo "{\\"by\\":\\"timeout\\",\\"at\\":\\"$(command -p date -u +%Y-%m-%dT%H:%M:%SZ)\\",\\"signal\\":\\"SIGTERM\\"}" >"$dir/stop.json"
  trap '' TERM
  kill -s TERM -- -$$; sweep TERM
  n=0
  while [ $n -lt ${
    graceSeconds * 5
  } ] && { sweep 0; [ -n "$found" ] || waited; }; do
    command -p sleep 0.2; n=$((n + 1))
  done
  waited && kill -s KILL "$agent"; sweep KILL ) &
watchdog=$!`;
}

// Two sweeps in a row must find nothing: in the middle of an exec a process has no environment.
// Moved first, so that a reaper killed in the middle leaves no half session; into a directory
// made anew, because mv(1) would move it to where a link of that name leads. Where none can be
// made, on a full disk for one, it is removed as it stands.
const REMOVE = `
n=0 clear=0
while [ $clear -lt 2 ] && [ $n -lt 50 ]; do
  sweep KILL; n=$((n + 1))
  if [ -n "$found" ]; then clear=0; command -p sleep 0.1; else clear=$((clear + 1)); fi
done
old=\${dir%/*}/.old-\${dir##*/}-$$
if command -p mkdir -m 700 -- "$old"; then command -p mv -- "$dir" "$old/"; else old=$dir; fi
command -p rm -rf -- "$old"`;

/**
 * The text of the file `reaper.sh` for `sh DIRECTORY/reaper.sh ARGV…`.
 *
 * Tells the creator through `ready.pipe` what became of the agent: its pids once
 * they are recorded, then nothing and a hang-up if its exec succeeded (the
 * descriptor that a shell keeps for undoing a redirection is close-on-exec, so
 * the kernel itself reports it), or else a line with the status. A shell that says
 * nothing of a failed exec adds `?` to the pids (bash, mksh). A relay keeps the
 * descriptor, 9, and reports by itself: `ok`, or a status; a file that grows beyond the
 * limit (RLIMIT_FSIZE) is an error to it, as a full disk is, and not its end by SIGXFSZ.
 *
 * @example
 * ```ts
 * import { reaperScript } from "./reaper.ts";
 * console.log(reaperScript({ pipe: true }));
 * ```
 */
export function reaperScript(options: ReaperOptions = {}): string {
  const { pipe = false, relay = false, timeoutMs, graceMs = 10_000, rm } =
    options;
  return `# The reaper of this codex-session: waits for the agent, records how it ended.
dir=\${0%/*} holder= watchdog= self= said=
[ -z "$BASH_VERSION" ] || set +o posix
ours() { [ ! -h "$1" ] && { [ -f "$1" ] || [ ! -e "$1" ]; }; } # No pipe, no link to elsewhere.
trap '' HUP; trap : INT QUIT TERM USR1 USR2 PIPE ALRM
exec 2>>"$dir/reaper.log"${pipe ? HOLDER : ""}${
    timeoutMs !== undefined || rm ? SWEEP : ""
  }${
    timeoutMs === undefined
      ? ""
      : watchdog(timeoutMs / 1000, Math.ceil(graceMs / 1000))
  }
( trap 'echo "$?" >&9' 0
  exec 9<>"$dir/ready.pipe"
  for pid in /proc/self/task/*; do pid=\${pid##*/}; done
  [ "$pid" != '*' ] || pid=$(exec sh -c 'echo $PPID')
  echo "$$ $pid $holder" >"$dir/pid" || exit 125
  echo "$$ $pid\${BASH_VERSION:+ ?}\${KSH_VERSION:+ ?}" >&9 # ?: no trap after a failed exec.
  exec <${
    pipe ? '"$dir/stdin.pipe"' : "/dev/null"
  } >>"$dir/stdout.log" 2>>"$dir/stderr.log"
  ${relay ? `trap '' XFSZ; exec "$@" 9>&9` : '{ exec "$@"; } 9>&-'} )
code=$?
# A shell gives 128+n for a signal and for that code alike; it only says more of a signal
# (bash not as sh -c, and no shell of SIGINT and SIGPIPE).
exec 2>/dev/null; umask 077
case $code in
  130 | 141) said=y ;;
  *) ours "$dir/reaper.log" && { read -r _ && read -r said; } <"$dir/reaper.log" ;;
esac
[ $code -gt 128 ] && [ -n "$said" ] && end="signal $((code - 128))" || end="code $code"
ours "$dir/lock" && echo "$end" >"$dir/lock"
while ours "$dir/exit"; do
  echo "$end" >"$dir/exit" || [ ! -d "$dir" ] && break
  command -p sleep 1
done
[ -z "$holder" ] || kill -s KILL "$holder"; [ -z "$watchdog" ] || kill -s TERM "$watchdog"${
    rm ? REMOVE : ""
  }
`;
}
