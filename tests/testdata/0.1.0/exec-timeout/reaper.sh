# The reaper of this codex-session: waits for the agent, records how it ended.
dir=${0%/*} holder= watchdog= self= said=
[ -z "$BASH_VERSION" ] || set +o posix
ours() { [ ! -h "$1" ] && { [ -f "$1" ] || [ ! -e "$1" ]; }; } # No pipe, no link to elsewhere.
trap '' HUP; trap : INT QUIT TERM USR1 USR2 PIPE ALRM
exec 2>>"$dir/reaper.log"
sweep() {
  found=
  for p in $(cd /proc && command -p grep -lsF "CODEX_SESSION_DIR=$dir" [0-9]*/environ); do
    p=${p%%/*}
    [ "$p" = $$ ] || [ "$p" = "$watchdog" ] || [ "$p" = "$self" ] ||
      ! command -p tr '\0' '\n' <"/proc/$p/environ" | command -p grep -qxF "CODEX_SESSION_DIR=$dir" ||
      ! kill -s "$1" "$p" || found=1
  done 2>/dev/null
}
waited() {
  kill -s 0 $$ && kill -s 0 "$agent" &&
    { ! [ -e /proc/$$ ] || command -p grep -qsx "PPid:.$$" "/proc/$agent/status"; }
}
( trap 'kill "$!"; exit' TERM
  exec 2>/dev/null
  command -p sleep 0.3 & wait "$!"
  self=$(exec sh -c 'echo $PPID')
  ours "$dir/pid" && read -r _ agent _ <"$dir/pid"
  umask 077
  ours "$dir/stop.json" && echo "{\"by\":\"timeout\",\"at\":\"$(command -p date -u +%Y-%m-%dT%H:%M:%SZ)\",\"signal\":\"SIGTERM\"}" >"$dir/stop.json"
  trap '' TERM
  kill -s TERM -- -$$; sweep TERM
  n=0
  while [ $n -lt 50 ] && { sweep 0; [ -n "$found" ] || waited; }; do
    command -p sleep 0.2; n=$((n + 1))
  done
  waited && kill -s KILL "$agent"; sweep KILL ) &
watchdog=$!
( trap 'echo "$?" >&9' 0
  exec 9<>"$dir/ready.pipe"
  for pid in /proc/self/task/*; do pid=${pid##*/}; done
  [ "$pid" != '*' ] || pid=$(exec sh -c 'echo $PPID')
  echo "$$ $pid $holder" >"$dir/pid" || exit 125
  echo "$$ $pid" >&9
  exec </dev/null >>"$dir/stdout.log" 2>>"$dir/stderr.log"
  { exec "$@"; } 9>&- )
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
[ -z "$holder" ] || kill -s KILL "$holder"; [ -z "$watchdog" ] || kill -s TERM "$watchdog"
