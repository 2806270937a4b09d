/**
 * The reaper: the `/bin/sh` script that supervises one session.
 *
 *     creator ── sh (reaper: leads the session, holds the lock, waits)
 *                 ├── agent    (forked in the foreground, then exec'd)
 *                 ├── holder   (repl: keeps the pipe's write end open)
 *                 └── watchdog (with a timeout: ends the session after it)
 *                      └── alarm ── sleep
 *
 * A shell, because it weighs 0.2 MB where a JavaScript process weighs 13 and
 * more, and because every host has one, however it was compiled. POSIX only;
 * tried with dash, bash, busybox and mksh. The script is a file of the session,
 * so that `ps` shows a line and not a page, and an upgrade never changes what a
 * running shell reads. No user's text becomes part of it: its own path tells the
 * directory, and the agent's arguments are positional parameters. A program's name
 * can't start with `-`: `-w` and `-r` run the other parts of the script, which end
 * a session after its time and remove it.
 *
 * Invariants: the agent is a foreground child, because POSIX has a shell without
 * job control ignore SIGINT and SIGQUIT in background ones for good; the pids
 * are on disk before the agent's exec; an end is recorded by one write of one
 * line, into a file that readers ignore until the line is complete.
 *
 * A full process table stops none of it: the reaper records the end without a fork,
 * and the watchdog sends the first signal without one. After that, a shell that can't
 * fork exits, and its EXIT trap starts the same part of the script again, by exec.
 *
 * The environment is the agent's, and must not change what the script does: bash starts
 * again with -p, which ignores functions and options in the environment; `command -p`
 * finds programs without PATH. Nor may the script change it: variables that are set
 * before the agent starts have names that nobody else uses.
 *
 * @module
 */

/** The script's name in the session's directory. */
export const SCRIPT = "reaper.sh";

/**
 * A process that runs a session's script, by its arguments: the path of the script, and what it
 * was given: the agent's arguments, or those of another part of the script. `undefined` if it
 * runs something else. bash has an option before them.
 */
export function scriptCall(
  argv: readonly string[],
): { readonly path: string; readonly args: readonly string[] } | undefined {
  const at = argv[1] === "-p" ? 2 : 1;
  const path = argv[at];
  if (!path?.endsWith(`/${SCRIPT}`)) return undefined;
  return { path, args: argv.slice(at + 1) };
}

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
// a line there (see `sendEof`) or the death of both ends it, never a signal. (bash
// takes TMOUT for the longest time that a read may take.)
const HOLDER =
  `exec 7<>"$_dir/stdin.pipe" 8>"$_dir/stdin.pipe" 7<&- 6<>"$_dir/eof.pipe"
( trap '' USR2; unset TMOUT
  exec 5<"$_dir/eof.pipe" 6<&- 2>/dev/null; read -r _ <&5 ) &
_holder=$!
exec 8>&-
`;

// What a process is, without a fork: proc_pid_stat(5).
const FACTS = `facts() {
  state= parent= group= session=
  read -r stat <"/proc/$1/stat" && set -- \${stat##*) } && state=$1 parent=$2 group=$3 session=$4
}
`;

// Only our own children: another process may have got the number by now.
const END_HELPERS = `for pair in KILL:$_holder USR2:$_watchdog; do
  pid=\${pair#*:} parent=$$
  [ -n "$pid" ] || continue
  [ ! -e /proc/$$ ] || facts "$pid"
  [ "$parent" != $$ ] || kill -s "\${pair%:*}" "$pid"
done
`;

// Two ways to signal the processes of the session, all but the reaper and the caller;
// $found tells whether there was one.
//
// inside: those of its kernel session, without a fork.
// sweep: those that carry its directory in their environment and run as its user. A grep
// finds them, in parts because an exec takes so many arguments only; each is confirmed
// right before its signal, as a whole variable: newlines within values go.
//
// end_all kills until two looks in a row find nothing: in the middle of an exec a process
// has no environment.
const SIGNALLING = `inside() {
  for p in /proc/[1-9]*; do
    p=\${p#/proc/}; facts "$p"
    [ "$session" = "$reaper" ] && [ "$p" != "$reaper" ] && [ "$p" != $$ ] || continue
    case $1:$state:$group in STOP:T:* | TERM:*:$reaper) continue ;; esac
    kill -s "$1" "$p" && [ "$state" != Z ] && found=y
  done
}
user_of() {
  user=
  while read -r key real effective _; do
    [ "$key" != Uid: ] || user=$real:$effective
  done <"/proc/$1/status"
}
sweep() {
  LC_ALL=C; export LC_ALL
  user_of $$; own=$user
  for part in '[1-3]' '[4-6]' '[7-9]'; do
    for p in $(command -p grep -lsF "CODEX_SESSION_DIR=$_dir" /proc/$part*/environ); do
      p=\${p#/proc/}; p=\${p%/*}
      user_of "$p"; facts "$p"
      [ "$user" = "$own" ] && [ "$p" != "$reaper" ] && [ "$p" != $$ ] || continue
      case $1:$session in TERM:$reaper) continue ;; esac
      command -p tr '\\000\\n' '\\n\\001' <"/proc/$p/environ" |
        command -p grep -qxF "CODEX_SESSION_DIR=$_dir" && kill -s "$1" "$p" && found=y
      [ "$1$found" != 0y ] || return # One is enough to know.
    done
  done
}
tenths() { # of a second since the machine was started
  read -r uptime _ </proc/uptime
  now=\${uptime%?}; now=\${now%.*}\${now#*.}
}
tick() { # a fifth of a second, without a fork
  tenths; then=$now
  while [ -e /proc/uptime ] && [ $((now - then)) -lt 2 ]; do tenths; done
}
end_all() {
  n=0 clear=0
  while [ $clear -lt 2 ] && [ $n -lt 50 ]; do
    found=; inside KILL; sweep KILL; n=$((n + 1))
    if [ -n "$found" ]; then clear=0; command -p sleep 0.1; else clear=$((clear + 1)); fi
  done
}
quiet() { unset FUNCNEST GREP_OPTIONS; exec 2>/dev/null; trap '' HUP INT QUIT TERM USR1 PIPE ALRM; }
`;

// The alarm sleeps, records the request, and tells by its end that it is time, or that it
// could not fork. date(1) replaces it by exec: that takes no fork. Watchdog and alarm
// ignore what an agent may send to its group, or to every sleep(1); the reaper ends them
// by SIGUSR2.
//
// Then the group is asked to end, by one call. Whatever else there is is asked, given
// time, stopped so that it can't fork any more, and killed. The numbers of kernel session
// and group can't become a stranger's: the watchdog is in both.
const WATCHDOG = `
request() { # as the last thing that a process does
  umask 077
  ours "$_dir/stop.json" && exec "$date" -u '+{"by":"timeout","at":"%Y-%m-%dT%H:%M:%SZ","signal":"SIGTERM"}' >"$_dir/stop.json"
}
if [ "$1" = -w ]; then # -w REAPER STEP TENTHS-OF-A-SECOND-UNTIL-THEN FIFTHS-OF-GRACE
  reaper=$2 step=$3 time=$4 left=$5 grace=$5 alarm= uptime=0.00; quiet
  tenths; since=$now
  trap ': # In bash, the first command of this trap fails.
    tick; spent=$((now - since))
    case $step in TIME) time=$((time - spent)) ;; *) grace=$((grace - spent / 2)) ;; esac
    exec /bin/sh "$0" -w "$reaper" "$step" "$time" "$grace"' EXIT
  if [ "$step" = TIME ]; then
    trap 'kill -s USR2 "$alarm"; trap - EXIT; exit' USR2
    if [ "$time" -gt 0 ]; then
      ( trap 'kill -s KILL "$!"; exit' USR2; date=$(command -pv date)
        seconds=$((time / 10)).$((time % 10)); command -p sleep "\${seconds%.0}" & wait "$!"
        request ) & alarm=$!
      wait "$alarm"
      tenths; [ ! -e /proc/uptime ] || [ $((now - since)) -ge "$time" ] || exit
    fi
    trap '' USR2; kill -s TERM -- "-$reaper"; step=TERM since=$now
  fi
  trap '' USR2
  requested() { [ -s "$_dir/stop.json" ] || { date=$(command -pv date); ( request ); }; }
  [ "$left" -gt 0 ] || step=KILL
  [ "$step" != TERM ] || { inside TERM; requested; sweep TERM; step=0; }
  while [ "$step" = 0 ] && [ "$left" -gt 0 ] && { found=; sweep 0; [ -n "$found" ] || inside 0; [ -n "$found" ]; }; do
    command -p sleep 0.2; left=$((left - 1))
  done
  step=KILL n=0
  while found=; inside STOP; [ -n "$found" ] && [ $n -lt 50 ]; do n=$((n + 1)); done
  kill -s CONT "$reaper"; inside KILL; requested; end_all
  trap - EXIT; exit
fi
`;

// Moved first, so that a reaper killed in the middle leaves no half session; into a directory
// made anew, because mv(1) would move it to where a link of that name leads. Where none can be
// made, on a full disk for one, it is removed as it stands.
const REMOVE = `if [ "$1" = -r ]; then
  reaper=$$ uptime=0.00; quiet
  trap ':; tick; exec /bin/sh "$0" -r' EXIT
  end_all
  old=\${_dir%/*}/.old-\${_dir##*/}-$$
  if command -p mkdir -m 700 -- "$old"; then command -p mv -- "$_dir" "$old/"; else old=$_dir; fi
  trap - EXIT; command -p rm -rf -- "$old"
  exit
fi
`;

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
 * import { reaperScript } from "./process/reaper.ts";
 * console.log(reaperScript({ pipe: true }));
 * ```
 */
export function reaperScript(options: ReaperOptions = {}): string {
  const { pipe = false, relay = false, timeoutMs, graceMs = 10_000, rm } =
    options;
  const parts: string[] = [];
  if (pipe || timeoutMs !== undefined || rm) parts.push(FACTS);
  if (timeoutMs !== undefined || rm) parts.push(SIGNALLING);
  if (timeoutMs !== undefined) parts.push(WATCHDOG);
  if (rm) parts.push(REMOVE);
  const helpers: string[] = [];
  if (pipe) helpers.push(HOLDER);
  if (timeoutMs !== undefined) {
    const tenths = Math.ceil(timeoutMs / 100);
    const fifths = Math.ceil(graceMs / 200);
    helpers.push(
      `/bin/sh "$0" -w $$ TIME ${tenths} ${fifths} 2>/dev/null & _watchdog=$!\n`,
    );
  }
  return `# The reaper of this codex-session: waits for the agent, records how it ended.
_dir=\${0%/*} _holder= _watchdog= _strict=
case $- in
  *p*B*) _strict=\${POSIXLY_CORRECT+y}; set +p +o posix ;;
  *B*) exec -a bash "$BASH" -p "$0" "$@" ;;
esac
ours() { [ ! -h "$1" ] && { [ -f "$1" ] || [ ! -e "$1" ]; }; } # No pipe, no link to elsewhere.
${parts.join("")}exec 2>>"$_dir/reaper.log"
trap '' HUP INT QUIT TERM USR1 PIPE ALRM # What helpers ignore before they could ask for it.
${helpers.join("")}trap : INT QUIT TERM USR1 USR2 PIPE ALRM
( trap 'echo "$?" >&9' 0
  exec 9<>"$_dir/ready.pipe"
  for _pid in /proc/self/task/*; do _pid=\${_pid##*/}; done
  [ "$_pid" != '*' ] || _pid=$(exec /bin/sh -c 'echo $PPID')
  echo "$$ $_pid $_holder" >"$_dir/pid" || exit 125
  echo "$$ $_pid\${BASH_VERSION:+ ?}\${KSH_VERSION:+ ?}" >&9 # ?: no trap after a failed exec.
  exec <${
    pipe ? '"$_dir/stdin.pipe"' : "/dev/null"
  } >>"$_dir/stdout.log" 2>>"$_dir/stderr.log"
  [ -z "$_strict" ] || export POSIXLY_CORRECT=y
  ${relay ? `trap '' XFSZ; exec "$@" 9>&9` : '{ exec "$@"; } 9>&-'} )
code=$? said=
# A shell gives 128+n for a signal and for that code alike; it only says more of a signal
# (bash not as sh -c, and no shell of SIGINT and SIGPIPE).
exec 2>/dev/null; umask 077
case $code in
  130 | 141) said=y ;;
  *) ours "$_dir/reaper.log" && { read -r _ && read -r said; } <"$_dir/reaper.log" ;;
esac
[ $code -gt 128 ] && [ -n "$said" ] && end="signal $((code - 128))" || end="code $code"
ours "$_dir/lock" && echo "$end" >"$_dir/lock"
while ours "$_dir/exit"; do
  echo "$end" >"$_dir/exit" || [ ! -d "$_dir" ] && break
  ( command -p sleep 1; : ) # The agent is the one child that isn't this script.
done
${helpers.length > 0 ? END_HELPERS : ""}${rm ? 'exec /bin/sh "$0" -r\n' : ""}`;
}
