/**
 * The form for a new session: what to start, and the fields that it needs.
 *
 * @module
 */
import { type Input, keyName } from "./keys.ts";
import { LineEditor } from "./line_editor.ts";
import { splitCommand } from "../views/split_command.ts";

/** A field of the form. */
export type Field = "what" | "command" | "cwd" | "prompt";

/** What can be started: an agent, or a command with or without a terminal. */
export type Choice =
  | { readonly agent: string }
  | { readonly command: "exec" | "pty" };

/** A new session, as it is being entered. */
export class Form {
  /** What can be started. */
  choices: readonly Choice[];
  chosen = 0;
  focus = 0;
  readonly editors: Readonly<Record<Exclude<Field, "what">, LineEditor>>;

  constructor(cwd: string, agents: readonly string[]) {
    this.choices = choicesWith(agents);
    this.editors = {
      command: new LineEditor(),
      cwd: new LineEditor({ text: cwd }),
      prompt: new LineEditor({ keepsLines: true }),
    };
  }

  /** What is to be started. */
  get choice(): Choice {
    return this.choices[this.chosen]!;
  }

  /** The fields of this choice, in their order. */
  get fields(): readonly Field[] {
    return "agent" in this.choice
      ? ["what", "cwd", "prompt"]
      : ["what", "command", "cwd"];
  }

  /** Whether the last field has the keys. */
  get isAtEnd(): boolean {
    return this.focus === this.fields.length - 1;
  }

  /** Takes the agents that were found; what the user has chosen meanwhile stays. */
  setAgents(agents: readonly string[]): void {
    const isUntouched = this.chosen === 0 && this.focus === 0;
    const before = isUntouched ? "" : choiceName(this.choice);
    this.choices = choicesWith(agents);
    const same = this.choices.findIndex((one) => choiceName(one) === before);
    this.chosen = Math.max(0, same);
  }

  /** Takes a key. */
  take(key: Input): void {
    const name = keyName(key);
    const field = this.fields[this.focus]!;
    if (name === "tab" || name === "down" || name === "enter") this.#move(1);
    else if (name === "shift-tab" || name === "up") this.#move(-1);
    else if (field !== "what") this.editors[field].take(key);
    else if (name === "left") this.#turn(-1);
    else if (name === "right" || name === "space") this.#turn(1);
  }

  #move(by: number): void {
    const { length } = this.fields;
    this.focus = (this.focus + by + length) % length;
  }

  #turn(by: number): void {
    const { length } = this.choices;
    this.chosen = (this.chosen + by + length) % length;
  }

  /**
   * What the action `start` takes.
   *
   * @throws {Error} if the command is missing, or can't be split.
   */
  args(): Readonly<Record<string, unknown>> {
    const { choice } = this;
    const { command, cwd, prompt } = this.editors;
    const what = "agent" in choice
      ? {
        agent: choice.agent,
        ...prompt.text !== "" && { prompt: prompt.text },
      }
      : { command: commandIn(command.text), kind: choice.command };
    const dir = cwd.text.trim();
    return { ...what, ...dir !== "" && { cwd: dir } };
  }
}

/** The name of what can be started. */
export function choiceName(choice: Choice): string {
  if ("agent" in choice) return choice.agent;
  return choice.command === "pty" ? "command in a terminal" : "command";
}

function choicesWith(agents: readonly string[]): readonly Choice[] {
  const names = agents.map((agent) => ({ agent }));
  return [...names, { command: "pty" }, { command: "exec" }];
}

/** The words of a command that was entered. */
function commandIn(text: string): string[] {
  const command = splitCommand(text);
  if (command.length === 0) throw new Error("Enter a command");
  return command;
}
