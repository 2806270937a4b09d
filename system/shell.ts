/**
 * Asking other programs: runs a short script of `/bin/sh` for a limited time.
 *
 * @module
 */

/** How long a script may take by default. */
const ASK_TIMEOUT_MS = 3_000;

/** The result of a script: its status (-1: it took too long) and its output. */
export interface Answer {
  readonly status: number;
  readonly output: string;
}

/** Runs a script by `/bin/sh` with these arguments, for `timeoutMs` at most. */
export async function ask(
  script: string,
  args: readonly string[] = [],
  timeoutMs = ASK_TIMEOUT_MS,
): Promise<Answer> {
  const child = new Deno.Command("/bin/sh", {
    args: ["-c", script, "sh", ...args],
    env: { LC_ALL: "C" },
    stdin: "null",
    stdout: "piped",
    stderr: "null",
  }).spawn();
  const reader = child.stdout.getReader();
  const decoder = new TextDecoder();
  let output = "";
  let late = false;
  // A process that the shell has started may live on and hold the pipe: don't wait for it.
  const timer = setTimeout(() => {
    late = true;
    child.kill("SIGKILL");
    reader.cancel().catch(() => {});
  }, timeoutMs);
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      output += decoder.decode(value, { stream: true });
    }
    const { code } = await child.status;
    return { status: late ? -1 : code, output };
  } finally {
    clearTimeout(timer);
  }
}

/** A value of `KEY=VALUE` lines; empty without one. */
export function valueIn(text: string, key: string): string {
  return new RegExp(`^${key}=(.*)$`, "m").exec(text)?.[1] ?? "";
}
