/**
 * The reaper: the `/bin/sh` script that supervises one session.
 *
 *     creator ── sh (reaper: leads the session, holds the lock, waits)
 *                 ├── agent    (forked in the foreground, then exec'd)
 *                 ├── holder   (repl: keeps the pipe's write end open)
 *                 └── watchdog (with a timeout: ends the session after it)
 *                      └── alarm ── sleep
 *
 * It is a shell, because a shell takes 0.2 MB where a JavaScript process takes 13 or more, and
 * because every machine has one. POSIX only; tested with dash, bash, busybox and mksh. The
 * script is a file of the session, so that `ps` shows a line and not a page, and so that an
 * upgrade never changes a running script. It contains no text of users: the directory comes
 * from its own path, and the agent's arguments are positional parameters. A program's name
 * can't start with `-`: `-w` and `-r` run the parts of the script that end a session after its
 * time and remove it.
 *
 * Invariants: The agent is a foreground child, because a shell without job control makes
 * background children ignore SIGINT and SIGQUIT for good (POSIX). The pids are on disk before
 * the agent's exec. One write of one line records the end, and readers ignore the file until
 * the line is complete.
 *
 * All of this works with a full process table: the reaper records the end without a fork, and
 * the watchdog sends the first signal without one. A shell that can't fork later exits, and
 * its EXIT trap starts the same part of the script again by exec.
 *
 * The script runs in the agent's environment, which must not change its behaviour: bash starts
 * again with -p, which ignores functions and options in the environment, and `command -p` finds
 * programs without PATH. The script must not change the environment either, but for the variables
 * that it is told to unset: those that it sets before the agent starts have names that nothing
 * else uses.
 *
 * @module
 */

import { type Notifier, tellFunction } from "./notifier.ts";

/** The script's name in the session's directory. */
export const SCRIPT = "reaper.sh";

/** The pipe of the handshake. A creator that is killed leaves it behind; nothing reads it then. */
export const READY = "ready.pipe";

/**
 * The path of a session's script. Not by join(), which may change the directory's path: the script
 * takes that from its own path and looks for it in the processes' `CODEX_SESSION_DIR`.
 */
export function scriptPath(dir: string): string {
  return `${dir}/${SCRIPT}`;
}

/**
 * Recognizes a process that runs a session's script by its arguments: returns the path of the
 * script and the script's arguments, which are the agent's or those of another part of the script.
 * `undefined` for other processes. bash has an option before the path.
 */
export function scriptCall(
  argv: readonly string[],
): { readonly path: string; readonly args: readonly string[] } | undefined {
  const at = argv[1] === "-p" ? 2 : 1;
  const path = argv[at];
  if (!path?.endsWith(`/${SCRIPT}`)) return undefined;
  return { path, args: argv.slice(at + 1) };
}

/** What the script does besides starting the agent and waiting for it. */
export interface ReaperOptions {
  /** Serve `stdin.pipe`. @default {false} */
  readonly pipe?: boolean;
  /** The program is the relay of a terminal, which itself reports the agent's exec. @default {false} */
  readonly relay?: boolean;
  /** Variables that the session doesn't inherit. @default {[]} */
  readonly unset?: readonly string[];
  /** Stop the session after this many milliseconds. @default {undefined} */
  readonly timeoutMs?: number;
  /** Milliseconds from SIGTERM to SIGKILL after the timeout. @default {10000} */
  readonly graceMs?: number;
  /** Delete the session's directory once it has ended. @default {false} */
  readonly rm?: boolean;
  /** Start this once the agent has ended. @default {undefined} */
  readonly notifier?: Notifier;
}

// Opening a pipe for writing waits for a reader: a descriptor for both ends is there for a
// moment. The holder reads a pipe that the reaper and the agent hold open for writing. A line
// there (see `sendEof`) or the death of both ends it, never a signal. (bash takes TMOUT for the
// time limit of each read.)
const HOLDER =
  `exec 7<>"$_dir/stdin.pipe" 8>"$_dir/stdin.pipe" 7<&- 6<>"$_dir/eof.pipe"
( trap '' USR2; unset TMOUT
  exec 5<"$_dir/eof.pipe" 6<&- 2>/dev/null; read -r _ <&5 ) &
_holder=$!
exec 8>&-
`;

// One process, without a fork: proc_pid_stat(5). Its name may hold line breaks and brackets.
const FACTS = `facts() {
  stat=
  while read -r line; do stat=$line; done <"/proc/$1/stat"
  set -- \${stat##*) }
  state=$1 parent=$2 group=$3 session=$4 terminal=$5 start=\${20}
}
`;

// Only the reaper's children: the number may be another process's by now.
const END_HELPERS = `for pair in KILL:$_holder USR2:$_watchdog; do
  pid=\${pair#*:} parent=$$
  [ -n "$pid" ] || continue
  [ ! -e /proc/$$ ] || facts "$pid"
  [ "$parent" != $$ ] || kill -s "\${pair%:*}" "$pid"
done
`;

// Its grace period is not over when the agent has ended: it has found processes that nobody
// else would find again.
const WAIT_FOR_WATCHDOG =
  `while [ -n "$_watchdog" ] && facts "$_watchdog" && [ "$parent" = $$ ] && [ "$state" != Z ]; do
  wait "$_watchdog"
done
`;

// Two ways to signal the session's processes except the reaper and the caller. $found tells
// whether there were any.
//
// inside: those of its kernel session, without a fork.
// outside: all others that "look" has found, by number and start, in $kin, or those that it is
// given. Right before its signal each is checked again: another session's directory in its
// environment, as a whole variable (newlines within values go), makes it that session's.
//
// look finds the processes that carry the session's directory in their environment, run as its
// user and have the same mounts: a container may have another directory at that path. (The path
// is not looked up there: a file system over it may never answer.) A grep finds them, in parts
// because an exec takes a limited number of arguments. To these and to the reaper it adds
// descendants and the kernel sessions that one of them leads, until there are no more. $kin
// holds a number with its start, so that a later process with the same number does not count.
//
// A shell that can't fork starts again, in a hurry: look kills what it finds by its environment.
//
// end_all kills until two looks in a row find nothing: in the middle of an exec a process has
// no environment.
//
// No pipeline has a function: its part would fork once more, and nobody would see that fail.
const VARIABLES = `command -p tr '\\000\\n' '\\n\\001' <"/proc/$1/environ"`;
const SIGNALLING = `inside() {
  for p in /proc/[1-9]*; do
    p=\${p#/proc/}; facts "$p"
    [ "$session" = "$reaper" ] && [ "$p" != "$reaper" ] && [ "$p" != $$ ] || continue
    case $1:$state:$group in STOP:T:* | TERM:*:$reaper) continue ;; esac
    kill -s "$1" "$p" && [ "$state" != Z ] && found=y
  done
}
is_outside() {
  p=\${one%:*}; facts "$p"
  [ "$start" = "\${one#*:}" ] && [ "$session" != "$reaper" ] && [ "$state" != Z ]
}
outside() {
  for one in \${2-$kin}; do
    is_outside || continue
    [ "$1" = 0 ] || { ! is_foreign "$p" && kill -s "$1" "$p"; } || continue
    found=y
  done
}
is_own() {
  ${VARIABLES} | command -p grep -qxF "CODEX_SESSION_DIR=$_dir"
}
is_foreign() {
  user_of "$1"
  ${VARIABLES} | command -p grep -vxF "CODEX_SESSION_DIR=$_dir" | {
    while read -r other; do
      case $other in CODEX_SESSION_DIR=*) [ "$user" = "$own" ] && [ ! -e "\${other#*=}/${SCRIPT}" ] || exit 0 ;; esac
    done
    exit 1
  }
}
sees() {
  [ "/proc/$1/ns/mnt" -ef /proc/$$/ns/mnt ] && [ "$(command -p readlink "/proc/$1/root")" = / ]
}
add() {
  case $1 in *:) return ;; esac # It has ended meanwhile.
  case $kin in *" $1 "*) ;; *) kin="$kin$1 " ;; esac
}
user_of() {
  user=
  while read -r key real effective _; do
    [ "$key" != Uid: ] || user=$real:$effective
  done <"/proc/$1/status"
}
look() {
  LC_ALL=C; export LC_ALL
  old=$kin kin=' '
  for one in $reaper: $old; do
    p=\${one%:*}; facts "$p"
    case $one in "$reaper:" | "$p:$start") add "$p:$start" ;; esac
  done
  mine && for part in '[1-3]' '[4-6]' '[7-9]'; do
    list=$(command -p grep -lsF "CODEX_SESSION_DIR=$_dir" /proc/$part*/environ; echo .)
    case $list in *.) ;; *) exit ;; esac # It could not fork.
    for p in \${list%.}; do
      p=\${p#/proc/}; p=\${p%/*}
      user_of "$p"; facts "$p"; one=$p:$start
      [ "$user" = "$own" ] && sees "$p" &&
        is_own "$p" && [ -f "$0" ] && mine && add "$one" && [ -n "$hurry" ] && [ "$session" != "$reaper" ] && kill -s KILL "$p" && found=y
    done
  done
  size=
  while [ "$size" != "\${#kin}" ]; do
    size=\${#kin}
    for p in /proc/[1-9]*; do
      p=\${p#/proc/}; facts "$p"
      one=$p:$start sid=$session
      case $kin in *" $one "*) continue ;; esac
      for elder in "$parent" "$session"; do
        case $kin in *" $elder:"*) ;; *) continue ;; esac
        facts "$elder"
        case $kin in *" $elder:$start "*) ;; *) continue ;; esac
        [ "$sid" = "$reaper" ] || ! is_foreign "$p" && add "$one"
        break
      done
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
    found=; inside KILL; look; outside KILL; n=$((n + 1))
    if [ -n "$found" ]; then clear=0; command -p sleep 0.1; else clear=$((clear + 1)); fi
  done
}
quiet() { unset FUNCNEST GREP_OPTIONS; exec 2>/dev/null; trap '' HUP INT QUIT TERM USR1 PIPE ALRM; user_of $$; own=$user; }
`;

// The watchdog waits for a sleep(1), which ignores the signals that an agent may send to its group
// or to every sleep, as the watchdog does; the reaper ends the watchdog by SIGUSR2, and that
// kills the sleep. date(1) records the request, in the place of a subshell: one fork, not two.
//
// Then one call signals the group. All other processes are signalled, get time, are stopped so
// that they can't fork, and are killed. Those that ignore TERM on a terminal, as interactive
// shells do, get HUP, which they pass on: once all others have ended, or ignore that, or are jobs
// that their terminal has stopped again. The numbers of kernel session and group can't become a
// stranger's, because the watchdog is in both.
const WATCHDOG = `
request() { # as the last thing that a process does
  umask 077
  mine && ours "$_dir/stop.json" && exec "$date" -u '+{"by":"timeout","at":"%Y-%m-%dT%H:%M:%SZ","signal":"SIGTERM"}' 1<>"$_dir/stop.json"
}
ignores() { # PID PATTERN: of a mask in hexadecimal
  while read -r key mask; do
    case $key:$mask in SigIgn:$2) return 0 ;; esac
  done <"/proc/$1/status"
  return 1
}
awaits_hangup() { # the process in $one
  is_outside && [ "$terminal" != 0 ] && ignores "$p" '*[4567cdef]???'
}
find_shells() {
  shells=
  for one in $kin; do
    awaits_hangup && shells="$shells $one"
  done
}
wake() {
  for one in $kin; do
    is_outside && [ "$state" = T ] && outside CONT "$one"
  done
}
hang_up() {
  [ -n "$shells" ] || return
  stuck=
  for one in $kin; do
    case "$shells " in *" $one "*) continue ;; esac
    is_outside || continue
    case $state:$terminal in
      T:0) return ;;
      T:*) stuck="$stuck $one" ;;
      *) ignores "$p" '*[13579bdf]' || return ;;
    esac
  done
  for one in $shells; do
    awaits_hangup && outside HUP "$one" # It may have become another program since.
  done
  shells=; outside HUP "$stuck"; outside CONT "$stuck"
}
if [ "$1" = -w ]; then # -w TOKEN REAPER STEP TENTHS-OF-A-SECOND-UNTIL-THEN FIFTHS-OF-GRACE KIN
  token=$2 reaper=$3 step=$4 time=$5 left=$6 grace=$6 kin=$7 hurry= shells= uptime=0.00; quiet
  [ "$step" != LAST ] || hurry=y
  tenths; since=$now
  trap ': # In bash, the first command of this trap fails.
    tick; spent=$((now - since))
    case $step in TIME) time=$((time - spent)) ;; *) grace=$((grace - spent / 2)) ;; esac
    [ \${#kin} -lt 100000 ] || kin= # One argument has 128 KiB at most.
    mine && exec /bin/sh "$0" -w "$token" "$reaper" "$step" "$time" "$grace" "$kin"' EXIT
  is_time() { tenths; [ ! -e /proc/uptime ] || [ $((now - since)) -ge "$time" ]; }
  requested() { [ -s "$_dir/stop.json" ] || { date=$(command -pv date); ( request ); }; }
  if [ "$step" = TIME ]; then
    # Others may send it, too: then the rest of the time follows.
    trap 'kill -s KILL "$!"; [ ! -s "$_dir/exit" ] && [ -d "$_dir" ] || trap - EXIT; exit' USR2
    if [ "$time" -gt 0 ]; then
      seconds=$((time / 10)).$((time % 10)); command -p sleep "\${seconds%.0}" & wait "$!"
      is_time || exit
    fi
    trap '' USR2; step=FIRST since=$now
    requested; look
  fi
  trap '' USR2
  [ "$step" != FIRST ] || { kill -s TERM -- "-$reaper"; step=TERM; }
  [ "$left" -gt 0 ] || case $step in TERM | GRACE) step=KILL ;; esac
  [ "$step" != TERM ] || { find_shells; inside TERM; requested; outside TERM; wake; step=GRACE; }
  in_grace() { tenths; [ "$left" -gt 0 ] && [ $((now - since)) -lt $((grace * 2)) ]; }
  while [ "$step" = GRACE ] && in_grace && { found=; look; outside 0; [ -n "$found" ] || inside 0; [ -n "$found" ]; }; do
    hang_up; command -p sleep 0.2; left=$((left - 1))
  done
  n=0
  while found=; inside STOP; [ -n "$found" ] && [ $n -lt 50 ]; do n=$((n + 1)); done
  [ "$step" = LAST ] || { step=LAST; look; }
  kill -s CONT "$reaper"; inside KILL; requested; end_all
  until requested; [ -s "$_dir/stop.json" ] || [ -s "$_dir/exit" ] || [ ! -d "$_dir" ] || ! mine || ! kill -s 0 "$reaper"; do
    command -p sleep 0.2 # On a full disk: it asks as long as the reaper tries to record the end.
  done
  trap - EXIT; exit
fi
`;

// The session is moved first, so that a killed reaper leaves no half session. It is moved into a
// new directory, because mv(1) would follow a link. If that can't be made, for example on a full
// disk, the session is removed under its own name.
//
// A notifier is started after that, by what is left: the text of this part.
const REMOVE = (tells: boolean) =>
  `if [ "$1" = -r ]; then
  token=$2 reaper=$$ uptime=0.00 kin= hurry=$3; quiet
  ${
    tells ? "end=$4\n  " : ""
  }trap ':; tick; mine && exec /bin/sh "$0" -r "$token" y${
    tells ? ' "$end"' : ""
  }' EXIT
  end_all
  mine || { trap - EXIT; exit; }
  old=\${_dir%/*}/.old-\${_dir##*/}-$$
  if command -p mkdir -m 700 -- "$old"; then command -p mv -- "$_dir" "$old/"; else old=$_dir; fi
  trap - EXIT; command -p rm -rf -- "$old"
${tells ? '  cd /; [ -z "$end" ] || tell "$end" ""\n' : ""}  exit
fi
`;

// A session whose start has failed was none: then the creator still has its pipe there, because it
// waits for this process. It is rare that a program that has started ends like that so soon.
const TELL =
  `case $code in 125 | 126 | 127) [ ! -e "$_dir/${READY}" ] || end= ;; esac
`;

/**
 * The text of the file `reaper.sh` for `sh DIRECTORY/reaper.sh ARGV…`.
 *
 * It reports to the creator through `ready.pipe`: the pids once they are recorded; then, if the
 * agent's exec succeeds, the pipe closes, else a line with the status follows. The kernel closes
 * it: a shell keeps a close-on-exec copy of a descriptor that a redirection hides. A shell that
 * can't report a failed exec adds `?` to the pids (bash, mksh). A relay keeps the descriptor,
 * 9, and reports itself: `ok`, or a status. For a relay a file beyond the limit
 * (RLIMIT_FSIZE) is an error like a full disk, not its end by SIGXFSZ.
 *
 * @example
 * ```ts
 * import { reaperScript } from "./process/reaper.ts";
 * console.log(reaperScript({ pipe: true }));
 * ```
 */
export function reaperScript(options: ReaperOptions = {}): string {
  const { pipe = false, relay = false, unset = [], timeoutMs, rm } = options;
  const { graceMs = 10_000, notifier } = options;
  // Tells this session's script from a later one's at the same path.
  const token = crypto.randomUUID();
  const parts: string[] = [];
  if (pipe || timeoutMs !== undefined || rm) parts.push(FACTS);
  if (timeoutMs !== undefined || rm) parts.push(SIGNALLING);
  if (timeoutMs !== undefined) parts.push(WATCHDOG);
  if (notifier !== undefined) parts.push(tellFunction(notifier));
  if (rm) parts.push(REMOVE(notifier !== undefined));
  if (unset.length > 0) parts.push(`unset -v ${unset.join(" ")}\n`);
  const helpers: string[] = [];
  if (pipe) helpers.push(HOLDER);
  if (timeoutMs !== undefined) {
    const tenths = Math.ceil(timeoutMs / 100);
    const fifths = Math.ceil(graceMs / 200);
    helpers.push(
      `/bin/sh "$0" -w ${token} $$ TIME ${tenths} ${fifths} "" 2>/dev/null & _watchdog=$!\n`,
    );
  }
  const remove = `mine && exec /bin/sh "$0" -r ${token}${
    notifier ? ' "" "$end"' : ""
  }\n`;
  const tell = `_file=; mine && cd "$_dir" && _file=notify.json || cd /
[ -z "$end" ] || tell "$end" "$_file"
`;
  return `# The reaper of this codex-session: waits for the agent, records how it ended.
# ${token}
_dir=\${0%/*} _holder= _watchdog= _strict=
case $- in
  *p*B*) _strict=\${POSIXLY_CORRECT+y}; set +p +o posix ;;
  *B*) exec -a bash "$BASH" -p "$0" "$@" ;;
esac
ours() { [ ! -h "$1" ] && { [ -f "$1" ] || [ ! -e "$1" ]; }; } # No pipe, no link to elsewhere.
mine() { # The directory is not a later session's, with a script of its own.
  of=
  [ -f "$0" ] && { read -r _; read -r of; } <"$0"
  [ "\${of:-# ${token}}" = "# ${token}" ]
}
case $1 in -*) [ "$2" = ${token} ] || exit ;; esac # Another session's part.
${parts.join("")}exec 2>>"$_dir/reaper.log"
trap '' HUP INT QUIT TERM USR1 PIPE ALRM # What helpers ignore before they could ask for it.
${helpers.join("")}trap : INT QUIT TERM USR1 USR2 PIPE ALRM
( trap 'echo "$?" >&9' 0
  exec 9<>"$_dir/${READY}"
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
mine && ours "$_dir/lock" && echo "$end" 1<>"$_dir/lock"
while mine && ours "$_dir/exit"; do
  echo "$end" 1<>"$_dir/exit" || [ ! -d "$_dir" ] && break
  ( command -p sleep 1; : ) # The agent is the one child that isn't this script.
done
${helpers.length > 0 ? END_HELPERS : ""}${
    rm || notifier && timeoutMs !== undefined ? WAIT_FOR_WATCHDOG : ""
  }${notifier ? TELL : ""}${rm ? remove : ""}${notifier ? tell : ""}`;
}
