/**
 * Asking a program: a short script of `/bin/sh`, which may take too long, and its answer.
 *
 * @module
 */

/** How long a question to the login manager may take. */
const ASK_TIMEOUT_MS = 3_000;

/** A shell's answer to a question that may take forever: its status (-1: too long), its output. */
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
  // What the shell has started may live on and hold the pipe: it is not waited for.
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
