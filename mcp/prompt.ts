/**
 * Which text of a model is a prompt for an agent, and no command of the agent's own.
 *
 * @module
 */
import { ArgumentError } from "../errors.ts";

/** Codex and Claude Code leave these out, some with what follows: a command may stand behind them. */
const CONTROL = /(?![\t\n\r])\p{Cc}/u;
/** Blanks and invisible characters, which agents skip or leave out, too; then the sign of a command. */
const COMMAND = /^[\s\p{C}\p{Default_Ignorable_Code_Point}]*[!\/]/u;

/**
 * Refuses a prompt that an agent would take for a command: `!` runs what follows in a shell, without
 * the agent's sandbox and approvals, and `/exit` ends it.
 *
 * @throws {ArgumentError}
 */
export function checkPrompt(prompt: string): void {
  if (CONTROL.test(prompt)) {
    throw new ArgumentError(
      "Invalid prompt: it has control characters; leave them out",
    );
  }
  const [command] = COMMAND.exec(prompt) ?? [];
  if (command === undefined) return;
  throw new ArgumentError(
    `Invalid prompt: agents take a text that begins with "${
      command.at(-1)
    }" for a command; begin with a word, or type it as it is with send_input`,
  );
}
