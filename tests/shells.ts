/**
 * Helpers of tests of the reaper's script: another shell in the place of `/bin/sh`, a hostile
 * environment, and a hostile agent.
 *
 * @module
 */

/** The shells that the reaper's script was written for. */
export const SHELLS: readonly string[] = ["dash", "bash", "busybox", "mksh"];

const hasMountNamespaces = Deno.build.os === "linux" && Deno.uid() === 0 &&
  new Deno.Command("unshare", {
    args: ["-m", "mount", "--bind", "/bin/true", "/bin/false"],
    stderr: "null",
  }).outputSync().success;

/** Finds a shell; or tells why it can't be put in the place of `/bin/sh` here. */
export function findShell(shell: string): { path: string } | { why: string } {
  const paths = ["/bin", "/usr/bin"].map((dir) => `${dir}/${shell}`);
  const path = paths.find(isFile);
  if (path === undefined) return { why: "it is not installed" };
  return hasMountNamespaces
    ? { path }
    : { why: "it needs root and mount namespaces" };
}

/** Defines a test that uses {@linkcode runIn}; ignores it if that does not work here. */
export function shellTest(
  shell: string,
  name: string,
  fn: () => Promise<void>,
): void {
  const found = findShell(shell);
  const why = "why" in found ? ` (skipped: ${found.why})` : "";
  Deno.test({
    name: `${name}, where sh is ${shell}${why}`,
    ignore: "why" in found,
    fn,
  });
}

/**
 * Runs a command in a mount namespace where `/bin/sh` is that shell, and returns its output.
 * Fails if the command does.
 */
export async function runIn(
  shell: string,
  command: readonly string[],
): Promise<string> {
  const found = findShell(shell);
  if ("why" in found) throw new Error(found.why);
  const script =
    'mount --bind "$0" "$(readlink -f /bin/sh)" || exit; exec "$@"';
  const { success, stdout, stderr } = await new Deno.Command("unshare", {
    args: ["-m", "bash", "-c", script, found.path, ...command],
  }).output();
  const decoder = new TextDecoder();
  if (!success) throw new Error(decoder.decode(stderr));
  return decoder.decode(stdout);
}

function isFile(path: string): boolean {
  try {
    return Deno.statSync(path).isFile;
  } catch {
    return false;
  }
}

/**
 * An environment in which each variable makes a shell, or the programs that it runs, misbehave.
 * Programs and a startup file in `dir` must not run: one that does makes the file `touched`
 * there.
 */
export function hostileEnvironment(dir: string): Record<string, string> {
  const script = `#!/bin/dash\n/bin/touch ${dir}/touched\n`;
  Deno.mkdirSync(`${dir}/bin`);
  Deno.writeTextFileSync(`${dir}/rc`, script);
  for (
    const name of ["sh", "sleep", "date", "grep", "tr", "mv", "rm", "kill"]
  ) {
    Deno.writeTextFileSync(`${dir}/bin/${name}`, script, { mode: 0o755 });
  }
  return {
    PATH: `${dir}/bin`,
    ENV: `${dir}/rc`,
    BASH_ENV: `${dir}/rc`,
    CDPATH: `/tmp:${dir}`,
    IFS: "/0:",
    TMOUT: "1",
    FUNCNEST: "1",
    GREP_OPTIONS: "-v",
    LC_ALL: "nowhere",
    PS4: `$(/bin/touch ${dir}/touched)`,
    GLOBIGNORE: "*",
    BASH_VERSION: "9",
    ...Object.fromEntries(
      // deno-fmt-ignore
      ["[", "cd", "command", "echo", "exec", "exit", "export", "kill", "read", "set", "sleep", "test", "trap", "unset", "wait"]
      .map((name) => [`BASH_FUNC_${name}%%`, `() { /bin/touch ${dir}/touched\n}`]),
    ),
    ...Object.fromEntries(
      // deno-fmt-ignore
      ["agent", "code", "date", "dir", "end", "found", "holder", "n", "p", "parent", "pid", "reaper", "said", "self", "state", "strict", "watchdog"]
      .map((name) => [name, "theirs"]),
    ),
  };
}

/**
 * A program that forks for ever, even when the process table is full. It and its children ignore
 * SIGTERM, and a third of the children leave its kernel session.
 */
export const FORKER = `import os, signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
n = 0
while True:
    try:
        if os.fork() == 0:
            if n % 3 == 0: os.setsid()
            time.sleep(1000)
    except OSError: time.sleep(0.001)
    n += 1
`;
