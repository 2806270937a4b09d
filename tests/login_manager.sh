# A login that ends, with a real systemd-logind and a real user manager that only this
# test sees: for scope_test.ts. Needs root, systemd's programs, dbus-daemon, and a kernel
# that lets it make control groups; exits with 77 where it can't be done.
#
#     sh login_manager.sh DIR COMMAND…
#
# COMMAND is the command line of codex-session. It is run inside a control group that looks
# like a login's; then every process of that group is killed, as logind does.
set -u
if [ "${INSIDE-}" != y ]; then
  [ "$(id -u)" = 0 ] && command -v unshare dbus-daemon systemd-run loginctl >/dev/null || exit 77
  [ -x /lib/systemd/systemd ] && [ -x /lib/systemd/systemd-logind ] || exit 77
  unshare -m true 2>/dev/null || exit 77
  INSIDE=y exec unshare -m --propagation private sh "$0" "$@"
fi
unset INSIDE DBUS_SESSION_BUS_ADDRESS
dir=$1
shift

# The hierarchies of control groups that systemd uses: both of a hybrid one, or the only one.
group=codex-session-test-$$
tops=
for top in /sys/fs/cgroup/systemd /sys/fs/cgroup/unified /sys/fs/cgroup; do
  [ -f "$top/cgroup.procs" ] && mkdir "$top/$group" 2>/dev/null || continue
  tops="$tops $top"
  mkdir -p "$top/$group/manager" "$top/$group/session-1.scope"
done
[ -n "$tops" ] || exit 77
enter() { # GROUP COMMAND…: runs it there.
  into=$group/$1
  shift
  sh -c 'group=$1 tops=$2; shift 2
    for top in $tops; do echo $$ >"$top/$group/cgroup.procs" || exit 77; done
    exec "$@"' sh "$into" "$tops" "$@" </dev/null
}
members() { for top in $tops; do find "$top/$group/$1" -name cgroup.procs -exec cat {} +; done | sort -u; }
cleanup() {
  kill $started
  for i in 1 2 3 4 5 6 7 8 9 10; do
    pids=$(members .)
    [ -z "$pids" ] && break
    kill -KILL $pids
    sleep 0.1
  done
  for top in $tops; do find "$top/$group" -depth -type d -exec rmdir {} +; done
} 2>/dev/null
started=
trap cleanup EXIT

# As if this machine had been started by systemd: only this mount namespace sees it.
mkdir -p "$dir/run" "$dir/etc" && chmod 700 "$dir/run"
cp -r /etc/systemd/. "$dir/etc" && mkdir -p "$dir/etc/logind.conf.d" /run/dbus /run/systemd || exit 77
printf '[Login]\nKillUserProcesses=yes\nKillExcludeUsers=nobody\n' >"$dir/etc/logind.conf.d/test.conf"
mount --bind "$dir/etc" /etc/systemd && mount -t tmpfs none /run/dbus && mount -t tmpfs none /run/systemd || exit 77
mkdir -p /run/systemd/system /run/systemd/seats /run/systemd/sessions /run/systemd/users
export XDG_RUNTIME_DIR="$dir/run"

until_() { # Waits until a command succeeds, ten seconds at most.
  for i in $(seq 200); do
    "$@" >/dev/null 2>&1 && return
    sleep 0.05
  done
  exit 77
}
exec 3>&1 >"$dir/log" 2>&1
dbus-daemon --system --nofork --nopidfile &
started=$!
until_ test -S /run/dbus/system_bus_socket
/lib/systemd/systemd-logind &
started="$started $!"
enter manager /lib/systemd/systemd --user --log-target=console &
started="$started $!"
until_ loginctl show-session
until_ systemctl --user is-system-running
exec >&3

# Two sessions of the login: one as it decides by itself, one that doesn't want to be saved.
enter session-1.scope "$@" run --id saved sleep 600 || exit
enter session-1.scope "$@" run --scope never --id unsaved sleep 600 || exit
enter session-1.scope "$@" doctor --json >"$dir/doctor.json"
enter session-1.scope sleep 600 &
until_ test -n "$(members session-1.scope)"

# The login ends. What is in its group is killed until nothing is left.
while pids=$(members session-1.scope) && [ -n "$pids" ]; do
  kill -KILL $pids 2>/dev/null
  sleep 0.05
done
"$@" list --json
