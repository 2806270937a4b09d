#!/bin/sh
# Starts codex-session.js with the Deno that npm installed as its dependency, straight away:
# Deno's own command would start Node first.

if ! [ . -ef "$PWD" ]; then # Deno would say this with a stack trace.
  echo "codex-session: the current directory was deleted; change to another one" >&2
  exit 1
fi
case $0 in
  */*) self=$0 ;;
  *) self=./$0 ;;
esac
while [ -L "$self" ]; do # npm's command is a link to this file.
  target=$(readlink "$self")
  case $target in
    /*) self=$target ;;
    *) self=${self%/*}/$target ;;
  esac
done
package=${self%/*}/..

# Below the package (npm -g), beside it (npm, in a project), beside its dependency (pnpm).
for deno in \
  "$package"/node_modules/@deno/*/deno \
  "$package"/../../@deno/*/deno \
  "$package"/node_modules/deno/node_modules/@deno/*/deno \
  "$package"/../../deno/../@deno/*/deno; do
  if [ -x "$deno" ]; then
    exec "$deno" run -A --no-config --no-lock "$package/codex-session.js" "$@"
  fi
done
echo "codex-session: cannot find the npm package \"deno\": install it again, with optional dependencies" >&2
exit 1
