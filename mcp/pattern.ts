/**
 * Patterns of a model. JavaScript tries a pattern by going back and forth: on text that a program
 * chooses, `(a+)+$` takes for ever, and everything else in this process waits. So each look has a
 * limit, and fails at it. Only V8's own watchdog can end one; `node:vm` has it.
 *
 * A watchdog that bites right behind a look ends the whole program. So a look that has taken half of
 * its time waits for it.
 *
 * @module
 */
import { ArgumentError } from "../errors.ts";

/** How long one look may take, in milliseconds: thousands of times what a useful one does. */
const LIMIT_MS = 200;

/** The same pattern; a look that takes too long throws an {@linkcode ArgumentError}. */
export async function limited(pattern: RegExp): Promise<RegExp> {
  const { createContext, Script } = await import("node:vm");
  const script = new Script(`
    end = now() + ${LIMIT_MS};
    match = pattern.exec(text);
    while (now() > end);
    match`);
  const now = () => performance.now();
  const context = createContext({ __proto__: null, now, pattern });
  return new LimitedPattern(pattern, (text) => {
    context.text = text;
    try {
      return script.runInContext(context, { timeout: 2 * LIMIT_MS });
    } catch (error) {
      throw isLate(error) ? tooSlow(pattern) : error;
    }
  });
}

/** Looks in some text. */
type Look = (text: string) => RegExpExecArray | null;

class LimitedPattern extends RegExp {
  readonly #look: Look;

  constructor(pattern: RegExp, look: Look) {
    super(pattern);
    this.#look = look;
  }

  override exec(text: string): RegExpExecArray | null {
    return this.#look(text);
  }
}

/** The error may be one of the context's own realm: no `Error` of ours. */
function isLate(error: unknown): boolean {
  const { code } = (error ?? {}) as { readonly code?: unknown };
  return code === "ERR_SCRIPT_EXECUTION_TIMEOUT";
}

function tooSlow(pattern: RegExp): ArgumentError {
  return new ArgumentError(
    `Cannot look for ${pattern}: it takes too long on what the session shows; use a simpler pattern, without a repetition in a repetition`,
  );
}
