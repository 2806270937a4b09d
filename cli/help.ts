/**
 * The help texts, made from the descriptions in `usage.ts`. Lines have 80 characters at most.
 *
 * @module
 */
import { MEANINGS } from "./io.ts";
import {
  type Command,
  findCommand,
  GROUPS,
  namesOf,
  optionsOf,
} from "./usage.ts";

const WIDTH = 80;

/** Breaks text into lines of so many characters; a blank line separates paragraphs. */
function wrap(text: string, width: number): string[] {
  return text.split("\n\n").flatMap((paragraph, i) => {
    const lines = i === 0 ? [""] : ["", ""];
    for (const word of paragraph.split(/\s+/)) {
      const line = lines.at(-1)!;
      if (line === "") lines[lines.length - 1] = word;
      else if (line.length + 1 + word.length <= width) {
        lines[lines.length - 1] = `${line} ${word}`;
      } else lines.push(word);
    }
    return lines;
  });
}

/** Two columns of help. */
function columns(
  rows: readonly (readonly [string, string])[],
  width = Math.max(...rows.map(([left]) => left.length)),
): string {
  const indent = " ".repeat(width + 4);
  return rows.map(([left, right]) =>
    `  ${left.padEnd(width)}  ${
      wrap(right, WIDTH - indent.length).join(`\n${indent}`)
    }`
  ).join("\n");
}

/** The text of `codex-session --help`. */
export function mainHelp(): string {
  const groups = GROUPS.map(([title, names]) => {
    const rows = names.map((name) => {
      const command = findCommand(name)!;
      return [namesOf(command).join(", "), command.summary] as const;
    });
    return `${title}:\n${columns(rows, 12)}`;
  });
  const statuses = MEANINGS.map(([status, meaning]) =>
    [String(status).padStart(3), meaning] as const
  );
  return `Run coding agents, or any command, as background sessions.

Usage: codex-session COMMAND [OPTIONS] [ARGS]

${groups.join("\n")}

Alone, on a terminal, codex-session opens the dashboard: \`top\`.

Run \`codex-session COMMAND --help\` for the options of a command. SEL is a
session: its id, its number in \`list\` (0 is the newest), or a unique beginning
of its id.

A first session:
  codex-session run --id hello -- sh -c 'sleep 5; echo hello'
  codex-session logs -f hello
  codex-session delete hello

Exit status:
${columns(statuses)}
  attach, run -a, wait: the agent's own status; 128+n if signal n ended it

Sessions are stored in $CODEX_SESSION_HOME, else $XDG_STATE_HOME/codex-session,
else ~/.local/state/codex-session.
`;
}

/** The text of `codex-session COMMAND --help`. */
export function commandHelp(command: Command): string {
  const { name, aliases = [], operands, summary, details, examples } = command;
  const usage = operands.split(" | ").map((form) =>
    `codex-session ${name} [OPTIONS]${form && ` ${form}`}`
  );
  const sections = [
    `${summary[0]!.toUpperCase()}${summary.slice(1)}.`,
    [
      `Usage: ${usage.join("\n       ")}`,
      ...aliases.length === 0 ? [] : [`Also: ${aliases.join(", ")}`],
    ].join("\n"),
    ...details === undefined ? [] : [wrap(details, WIDTH).join("\n")],
    optionsHelp(command),
    ...wordsHelp(command),
    `Examples:\n${
      examples.map(([line, what]) => {
        const whole = line.startsWith("$ ");
        return `  # ${what}\n  ${
          whole ? line.slice(2) : `codex-session ${line}`
        }`;
      }).join("\n")
    }`,
  ];
  return sections.join("\n\n") + "\n";
}

/** The options in their groups. */
function optionsHelp(command: Command): string {
  const options = optionsOf(command);
  const lefts = new Map(options.map((option) => {
    const short = option.short === undefined ? "    " : `-${option.short}, `;
    const value = option.value === undefined ? "" : ` ${option.value}`;
    return [option, `${short}--${option.name}${value}`];
  }));
  const width = Math.max(...[...lefts.values()].map(({ length }) => length));
  const groups = Map.groupBy(options, ({ group = "Options" }) => group);
  const isOther = ([title]: readonly [string, unknown]) => title !== "Options";
  return [...groups].sort((a, b) => Number(isOther(a)) - Number(isOther(b)))
    .map(([title, members]) => {
      const rows = members.map((one) => [lefts.get(one)!, one.help] as const);
      return `${title}:\n${columns(rows, width)}`;
    }).join("\n");
}

/** What the words in capitals stand for. */
function wordsHelp(command: Command): string[] {
  const lines: string[] = [];
  if (command.operands.includes("SEL")) {
    lines.push(
      "SEL: an id, its number in `list` (0 is the newest), or a unique beginning;\n" +
        "'=ID' is that id only.",
    );
  }
  if (command.options.some(({ value }) => value === "D")) {
    lines.push("D: a time such as 500ms, 10s, 5m, 1h30m or 7d.");
  }
  return lines.length === 0 ? [] : [lines.join("\n")];
}
