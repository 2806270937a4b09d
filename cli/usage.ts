/**
 * The commands: names, options, help. One description serves parsing, `--help`
 * and the completion scripts.
 *
 * @module
 */
import type { Option } from "./options.ts";

/** What a command is called, takes and does. */
export interface Command {
  /** Its name. */
  readonly name: string;
  /** Other names for it. */
  readonly aliases?: readonly string[];
  /** What follows the name. */
  readonly operands: string;
  /** One line for the list of commands. */
  readonly summary: string;
  /** What more there is to know. */
  readonly details?: string;
  /** Its own options. */
  readonly options: readonly Option[];
  /** From the first operand on, words are not options. */
  readonly verbatim?: boolean;
  /** What its operands complete to. */
  readonly completes?: "sessions" | "session" | "files";
  /** Command lines, each with what it does. */
  readonly examples: readonly (readonly [string, string])[];
}

/** Options of every command. */
export const COMMON: readonly Option[] = [
  { name: "json", help: "results as JSON, errors as JSON on stderr" },
  { name: "help", short: "h", help: "show this help" },
];

const START: readonly Option[] = [
  {
    name: "id",
    value: "NAME",
    help: "the session's id (default: a memorable one)",
  },
  { name: "cwd", value: "DIR", help: "working directory (default: this one)" },
  {
    name: "env",
    short: "e",
    value: "KEY=VALUE",
    repeat: true,
    help: "set an environment variable",
  },
  {
    name: "env-file",
    value: "FILE",
    repeat: true,
    help: "set those in FILE, a KEY=VALUE a line",
  },
  {
    name: "label",
    short: "l",
    value: "KEY=VALUE",
    repeat: true,
    help: "label it, to find it with list -l",
  },
  { name: "timeout", value: "D", help: "stop it after this time, such as 30m" },
  { name: "rm", help: "delete it once it has ended" },
  {
    name: "scope",
    value: "WHEN",
    help: "outlive the login by a systemd scope: auto (default), always, never",
  },
  { name: "attach", short: "a", help: "attach right away" },
];

const TERMINAL: readonly Option[] = [
  {
    name: "size",
    value: "COLSxROWS",
    help: "size of the terminal (default: 120x40)",
  },
  {
    name: "log-limit",
    value: "BYTES",
    help: "output of the terminal that is kept (default: 64M)",
  },
];

/** All commands, in the order of the help. */
export const COMMANDS: readonly Command[] = [
  {
    name: "create",
    operands: "exec|repl|pty [--] ARGS…",
    summary: "start the Codex agent of that kind in the background",
    details:
      "Everything after the kind goes to the agent verbatim. Prints the session's id.\n" +
      "exec: one turn, no input. repl: interactive, input by `send` and `attach`. pty: the full\n" +
      "terminal interface. The programs are codex-exec (else `codex exec`), codex-repl and codex on\n" +
      "PATH, or the command lines in CODEX_SESSION_EXEC, CODEX_SESSION_REPL and CODEX_SESSION_PTY.",
    options: [...START, ...TERMINAL],
    verbatim: true,
    examples: [
      ["create exec 'fix the failing test'", "one turn in the background"],
      [
        "create --id fix --timeout 1h exec --json 'fix it'",
        "with a name and a time limit",
      ],
      ["create -a repl", "talk to it right away"],
      ["create -a pty", "the full interface; ctrl-\\ leaves it running"],
    ],
  },
  {
    name: "run",
    operands: "[--] COMMAND ARGS…",
    summary: "start any command in the background",
    details:
      "Prints the session's id as soon as the command runs; fails if it can't be started.",
    options: [
      ...START,
      {
        name: "interactive",
        short: "i",
        help: "kind repl: input by a named pipe",
      },
      { name: "tty", short: "t", help: "kind pty: in a terminal of its own" },
      ...TERMINAL,
    ],
    verbatim: true,
    completes: "files",
    examples: [
      [
        "run -- claude -p 'explain this repository'",
        "another agent, same handling",
      ],
      ["run -i --id calc bc -l", "a program that reads lines"],
      ["run -t -a --id ed vim", "full screen; ctrl-\\ leaves it running"],
      ["run --rm -a make test", "watch it; nothing is left at the end"],
    ],
  },
  {
    name: "list",
    aliases: ["ls", "ps"],
    operands: "",
    summary: "list sessions, newest first",
    options: [
      { name: "quiet", short: "q", help: "ids only" },
      {
        name: "state",
        value: "S",
        help: "only those starting, running, exited, lost or damaged",
      },
      {
        name: "label",
        short: "l",
        value: "KEY=VALUE",
        repeat: true,
        help: "only those with this label",
      },
    ],
    examples: [
      ["list --state running", "what is going on"],
      [
        "delete $(codex-session list -q --state exited)",
        "clean up by a script",
      ],
    ],
  },
  {
    name: "show",
    operands: "SEL…",
    summary: "everything about sessions, as JSON",
    options: [],
    completes: "sessions",
    examples: [["show 0", "the newest"], [
      "show fix | jq .[0].processes",
      "its live processes",
    ]],
  },
  {
    name: "attach",
    operands: "SEL",
    summary: "watch a session's output live and send it lines",
    details:
      "Prints the output from the beginning, follows it, and sends each line that is typed.\n" +
      "Ctrl-C or Ctrl-D leaves; the session runs on. When the session ends, so does this,\n" +
      "with the agent's exit status. A terminal session shows its screen as it is, and every\n" +
      "key goes to the program; ctrl-\\ leaves (typed twice it goes through).",
    options: [
      { name: "stderr", help: "also its standard error, marked" },
      {
        name: "tail",
        short: "n",
        value: "N",
        help: "begin with the last N lines",
      },
      { name: "read-only", help: "send nothing" },
      {
        name: "detach-keys",
        value: "KEYS",
        help: "keys that leave a terminal, such as ctrl-p,ctrl-q",
      },
    ],
    completes: "session",
    examples: [["attach fix", "from the beginning"], [
      "attach --tail 20 --stderr 0",
      "the newest, its last lines",
    ]],
  },
  {
    name: "logs",
    operands: "SEL",
    summary: "print a session's output as it was written",
    options: [
      { name: "follow", short: "f", help: "go on until the session ends" },
      { name: "tail", short: "n", value: "N", help: "only the last N lines" },
      { name: "stderr", help: "its standard error instead" },
      { name: "all", help: "both" },
      {
        name: "plain",
        help:
          "of a terminal: as text, without escape sequences; with -n out of the last 2 MiB",
      },
    ],
    completes: "session",
    examples: [["logs -f fix", "follow it"], [
      "logs --stderr -n 50 fix",
      "the end of what went wrong",
    ]],
  },
  {
    name: "screen",
    operands: "SEL",
    summary: "print what a terminal session shows now, as text",
    options: [
      { name: "ansi", help: "with colours, as escape sequences" },
      { name: "scrollback", value: "N", help: "also N lines above the screen" },
    ],
    completes: "session",
    examples: [
      ["screen ed", "what is there to see"],
      ["screen --json ed | jq .cursor", "with size, cursor, title"],
    ],
  },
  {
    name: "send",
    operands: "SEL TEXT… | SEL --key KEY… | SEL --stdin | SEL --eof",
    summary: "give a session input without attaching",
    details:
      "In a terminal session the text is typed, as a paste where the program knows those, and then\n" +
      "Enter is pressed; keys that are given come after the text, without another Enter. Keys: enter, tab, escape, up, pagedown, f5, ctrl-c, alt-x, shift-tab, …",
    options: [
      {
        name: "no-newline",
        help: "don't end the text with a newline, or Enter",
      },
      { name: "stdin", help: "send standard input, byte by byte as it is" },
      {
        name: "key",
        short: "k",
        value: "KEY",
        repeat: true,
        help: "press a key in a terminal session; may be repeated",
      },
      { name: "eof", help: "end its input: the agent reads end of file" },
      {
        name: "timeout",
        value: "D",
        help: "how long to wait for an agent that doesn't read (default: 5s)",
      },
    ],
    completes: "session",
    examples: [
      ["send fix 'now write a test for it'", "a line"],
      ["send fix --stdin < notes.txt", "a file"],
      ["send fix --eof", "no more input"],
      ["send ed -k escape -k up", "keys in a terminal"],
    ],
  },
  {
    name: "wait",
    operands: "SEL…",
    summary: "wait until sessions end; print ID and exit status of each",
    details:
      "Exit status: that of the first one named whose status is not 0; 124 on timeout.\n" +
      "With --for something else than exit, prints the ID once it is so, with status 0:\n" +
      "output=REGEX (in all output so far), idle=D (no output for so long),\n" +
      "screen=REGEX (what a terminal shows).",
    options: [
      {
        name: "for",
        value: "WHAT",
        help: "exit (default), output=REGEX, idle=D or screen=REGEX",
      },
      {
        name: "timeout",
        value: "D",
        help: "give up after this time, with status 124",
      },
    ],
    completes: "sessions",
    examples: [
      ["wait fix && git diff", "when it has succeeded"],
      ["wait --timeout 10m a b c", "several, for ten minutes"],
      [
        "wait --for idle=5s fix && codex-session screen fix",
        "when it has nothing more to say",
      ],
    ],
  },
  {
    name: "stop",
    operands: "SEL…",
    summary: "end sessions: a signal, a grace period, SIGKILL",
    details:
      "Every process of the session gets the signal. Returns when they are gone.",
    options: [
      {
        name: "signal",
        short: "s",
        value: "SIGNAL",
        help: "the first signal (default: TERM)",
      },
      {
        name: "time",
        short: "t",
        value: "D",
        help: "the grace period (default: 10s)",
      },
    ],
    completes: "sessions",
    examples: [["stop fix", "politely, then not"], [
      "stop -s INT -t 1m fix",
      "as Ctrl-C would, with a minute to finish",
    ]],
  },
  {
    name: "delete",
    aliases: ["rm"],
    operands: "SEL…",
    summary: "delete ended sessions and their output",
    options: [{
      name: "force",
      short: "f",
      help: "stop a live one first; also a damaged one",
    }],
    completes: "sessions",
    examples: [["delete fix", "an ended one"], [
      "rm -f fix",
      "whatever it is doing",
    ]],
  },
  {
    name: "prune",
    operands: "",
    summary: "delete all ended and lost sessions",
    options: [
      {
        name: "older-than",
        value: "D",
        help: "only those that ended longer ago, such as 7d",
      },
      { name: "dry-run", help: "only say which" },
    ],
    examples: [["prune --older-than 7d", "what ended a week ago or earlier"]],
  },
  {
    name: "doctor",
    operands: "",
    summary: "check what sessions need on this machine",
    details:
      "A line for each finding: ok; warning (sessions work, but something can be lost); error (they\n" +
      "don't work); and what to do. Sees a throw-away session of each kind through. Exit status 1 on\n" +
      "an error.",
    options: [],
    examples: [
      ["doctor", "before trusting a new machine"],
      [
        "doctor --json | jq -r '.[] | select(.status != \"ok\").advice'",
        "what there is to do",
      ],
    ],
  },
  {
    name: "completions",
    operands: "bash|zsh|fish",
    summary: "print a completion script",
    options: [],
    examples: [
      [
        "completions bash > ~/.local/share/bash-completion/completions/codex-session",
        "bash",
      ],
      ['completions zsh > "${fpath[1]}/_codex-session"', "zsh"],
      [
        "completions fish > ~/.config/fish/completions/codex-session.fish",
        "fish",
      ],
    ],
  },
];

/** The command with this name or alias. */
export function findCommand(name: string): Command | undefined {
  return COMMANDS.find((command) =>
    command.name === name || command.aliases?.includes(name)
  );
}
