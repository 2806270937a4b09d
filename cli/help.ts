/**
 * The help texts, made from the descriptions in `usage.ts`.
 *
 * @module
 */
import { type Command, COMMANDS, COMMON } from "./usage.ts";

/** The exit statuses, for the help. */
const STATUSES = `Exit status:
  0 success   1 failure   2 wrong usage   3 no such session, or ambiguous
  4 wrong state   124 timeout   126 program not executable
  127 program not found   141 output pipe closed
  attach and wait: the agent's own status; 128+n if signal n ended it`;

/** Two columns of help. */
function columns(rows: readonly (readonly [string, string])[]): string {
  const width = Math.max(...rows.map(([left]) => left.length));
  return rows.map(([left, right]) => `  ${left.padEnd(width)}  ${right}`).join(
    "\n",
  );
}

/** The text of `codex-session --help`. */
export function mainHelp(): string {
  const rows = COMMANDS.map((
    { name, aliases = [], summary },
  ) => [[name, ...aliases].join(", "), summary] as const);
  return `Run coding agents, or any command, as background sessions.

Usage: codex-session COMMAND [OPTIONS] [ARGS]

Commands:
${columns(rows)}

SEL selects a session: its id, its number in \`list\` (0 is the newest), or a
unique beginning of its id.

Examples:
  codex-session run -- claude -p 'explain this repository'
  codex-session list
  codex-session logs -f 0

Sessions are stored in $CODEX_SESSION_HOME, else $XDG_STATE_HOME/codex-session,
else ~/.local/state/codex-session.

${STATUSES}

Run \`codex-session COMMAND --help\` for the options of a command.
`;
}

/** The text of `codex-session COMMAND --help`. */
export function commandHelp(command: Command): string {
  const { name, aliases = [], operands, summary, details, options, examples } =
    command;
  const rows = [...options, ...COMMON].map((option) => {
    const short = option.short === undefined ? "    " : `-${option.short}, `;
    const value = option.value === undefined ? "" : ` ${option.value}`;
    return [`${short}--${option.name}${value}`, option.help] as const;
  });
  const also = aliases.length === 0 ? "" : `\nAlso: ${aliases.join(", ")}\n`;
  return `${summary[0]!.toUpperCase()}${summary.slice(1)}.

Usage: codex-session ${name} [OPTIONS]${operands && ` ${operands}`}
${also}${details === undefined ? "" : `\n${details}\n`}
Options:
${columns(rows)}

Examples:
${
    examples.map(([line, what]) => `  # ${what}\n  codex-session ${line}`).join(
      "\n",
    )
  }

${STATUSES}
`;
}
