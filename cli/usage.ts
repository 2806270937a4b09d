/**
 * The commands: names, options, help. One description serves parsing, `--help`
 * and the completion scripts.
 *
 * @module
 */
import type { Option } from "./options.ts";

/** This version. */
export const VERSION = "0.1.0";

/** The description of a command. */
export interface Command {
  /** Its name. */
  readonly name: string;
  /** Other names for it. */
  readonly aliases?: readonly string[];
  /** Its operands, as the help shows them. */
  readonly operands: string;
  /** One line for the list of commands. */
  readonly summary: string;
  /** More about it, for its own help. */
  readonly details?: string;
  /** Its own options. */
  readonly options: readonly Option[];
  /** It prints no JSON: `--json` is refused. */
  readonly noJson?: boolean;
  /** What to do instead of giving options that other programs have. */
  readonly foreign?: Readonly<Record<string, string>>;
  /** Every word from the first operand on is an operand, even one that starts with a dash. */
  readonly verbatim?: boolean;
  /** Its operands from the second on are any text. */
  readonly takesText?: boolean;
  /** The words that complete its operands. */
  readonly completes?: "sessions" | "session" | "files";
  /** Only sessions that live complete its operands. */
  readonly live?: boolean;
  /** Calls, each with its effect; what starts with `$ ` is a whole command line. */
  readonly examples: readonly (readonly [string, string])[];
}

const JSON_OPTION: Option = {
  name: "json",
  help: "results as JSON; errors as JSON on standard error",
};
const HELP: Option = { name: "help", short: "h", help: "show this help" };

/** The options of a command: its own, and those of every command. */
export function optionsOf({ options, noJson = false }: Command): Option[] {
  return [...options, ...noJson ? [] : [JSON_OPTION], HELP];
}

const INSTEAD_OF_SEL = "Instead of SEL";

/** Options that choose sessions without naming them. */
const FILTERS: readonly Option[] = [
  {
    name: "label",
    short: "l",
    value: "KEY[=VALUE]",
    repeat: true,
    help: "sessions with this label",
    group: INSTEAD_OF_SEL,
  },
  {
    name: "state",
    value: "S[,S]",
    repeat: true,
    help: "starting, running, exited, lost or damaged",
    group: INSTEAD_OF_SEL,
  },
  {
    name: "status",
    value: "S[,S]",
    repeat: true,
    help: "running ones that are blocked, error, working, done or idle",
    group: INSTEAD_OF_SEL,
  },
  { name: "all", help: "all sessions", group: INSTEAD_OF_SEL },
];

const START: readonly Option[] = [
  {
    name: "id",
    value: "NAME",
    help:
      "session id, of A-Z a-z 0-9 _ - and not digits only (default: a memorable name)",
  },
  {
    name: "cwd",
    value: "DIR",
    help: "working directory (default: the current one)",
  },
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
    help: "set the variables in FILE: KEY=VALUE lines, as in a dotenv file",
  },
  {
    name: "label",
    short: "l",
    value: "KEY=VALUE",
    repeat: true,
    help: "add a label, to find the session with list -l",
  },
  {
    name: "timeout",
    value: "D",
    help: "stop the session after this time, such as 30m",
  },
  { name: "rm", help: "delete the session when it ends" },
  {
    name: "notify",
    value: "PROGRAM",
    help: "run this when the session is blocked, done, failed or ended",
  },
  {
    name: "scope",
    value: "WHEN",
    help:
      "use a systemd scope to outlive the login: auto (default), always, never",
  },
  {
    name: "attach",
    short: "a",
    help: "attach at once, before the command starts",
  },
];

const STREAMS: readonly Option[] = [
  { name: "stdout", help: "standard output only" },
  { name: "stderr", help: "standard error only, on standard output" },
];

/** Those of `attach`, for the commands that can attach. */
const ATTACHED: readonly Option[] = STREAMS.map((option) => ({
  ...option,
  help: `with -a: ${option.help}`,
}));

const OF_TERMINALS = "For terminals (kind pty)";

const TERMINAL: readonly Option[] = [
  {
    name: "size",
    value: "COLSxROWS",
    help: "terminal size (default: 120x40)",
    group: OF_TERMINALS,
  },
  {
    name: "log-limit",
    value: "BYTES",
    help: "how much terminal output to keep (default: 64M)",
    group: OF_TERMINALS,
  },
];

const FORCE: Option = {
  name: "force",
  short: "f",
  help: "stop the session first if it is running",
};

/** Those that decide what a session that takes up an earlier one is started with. */
const AGAIN: readonly Option[] = [
  ...START.filter(({ name }) => name !== "cwd"),
  ...ATTACHED,
  ...TERMINAL,
];

/** All commands, in the order of the help. */
export const COMMANDS: readonly Command[] = [
  {
    name: "create",
    operands: "exec|repl|pty [--] ARGS…",
    summary: "start a coding agent in the background",
    details:
      "Starts Codex, or the agent that --agent or CODEX_SESSION_AGENT names: codex, claude, gemini or\n" +
      "opencode. Prints the session id. Options for codex-session stand before the kind; all arguments after it\n" +
      "go to the agent unchanged.\n\n" +
      "Kinds: exec runs one turn and takes no input; repl is interactive and takes input from `send`\n" +
      "and `attach`; pty is the full terminal interface.\n\n" +
      "Programs of Codex: codex-exec (or `codex exec`), codex-repl and codex on PATH, or the command lines in\n" +
      "CODEX_SESSION_EXEC, CODEX_SESSION_REPL and CODEX_SESSION_PTY.",
    foreign: {
      "-d": "sessions always run in the background",
      "--detach": "sessions always run in the background",
      "-it": "use -t",
      "--name": "use --id",
      "-w": "use --cwd",
      "--workdir": "use --cwd",
      "-C": "use --cwd",
    },
    options: [
      {
        name: "agent",
        value: "NAME",
        help: "the agent: codex (default), claude, gemini or opencode",
      },
      ...START,
      ...ATTACHED,
      ...TERMINAL,
    ],
    verbatim: true,
    examples: [
      ["create exec 'fix the failing test'", "one turn in the background"],
      [
        "create --id fix --timeout 1h exec --json 'fix it'",
        "with an id and a time limit",
      ],
      ["create --agent claude exec 'explain this'", "another agent"],
      ["create -a repl", "start and attach"],
      ["create -a pty", "the full interface; press ctrl-\\ to detach"],
    ],
  },
  {
    name: "run",
    operands: "[--] COMMAND ARGS…",
    summary: "start any command in the background",
    details:
      "Prints the session id as soon as the command runs, or fails if it can't start. The session goes\n" +
      "on when this terminal closes. Without -i or -t the command gets no input (kind exec).",
    foreign: {
      "-d": "sessions always run in the background",
      "--detach": "sessions always run in the background",
      "-it": "use -t",
      "--name": "use --id",
      "-w": "use --cwd",
      "--workdir": "use --cwd",
      "-C": "use --cwd",
    },
    options: [
      ...START,
      ...ATTACHED,
      {
        name: "interactive",
        short: "i",
        help: "take input from send and attach (kind repl)",
      },
      {
        name: "tty",
        short: "t",
        help: "run in a terminal of its own (kind pty); -it is the same",
      },
      ...TERMINAL,
    ],
    verbatim: true,
    completes: "files",
    examples: [
      [
        "run -- claude -p 'explain this repository'",
        "another agent",
      ],
      ["run -i --id calc bc -l", "a program that reads lines"],
      ["run -t -a --id ed vim", "full screen; press ctrl-\\ to detach"],
      ["run --rm -a make test", "watch it; delete it when it ends"],
    ],
  },
  {
    name: "resume",
    operands: "SEL [PROMPT]",
    takesText: true,
    summary: "go on with the conversation of an ended or lost session",
    details:
      "Starts a new session: the same agent goes on with the conversation, with the same program,\n" +
      "kind, directory, labels and time limit. Prints the new id. Kind exec needs a PROMPT.\n\n" +
      "Options of the agent and the values of variables are not carried over: it says which, and\n" +
      "--arg and -e give them again. If it isn't known for certain which conversation it was, it\n" +
      "says so. `show` has the link: resumes, resumedBy.",
    foreign: { "--cwd": "a conversation stays in its directory" },
    options: [
      FORCE,
      {
        name: "tty",
        short: "t",
        help: "in a terminal of its own (kind pty; default: the same kind)",
      },
      { name: "exec", help: "one turn without input (kind exec)" },
      {
        name: "arg",
        value: "ARG",
        repeat: true,
        help: "an argument for the agent, such as --arg=--model --arg=x",
      },
      ...AGAIN,
    ],
    completes: "session",
    examples: [
      ["resume fix 'now write a test for it'", "the next turn"],
      ["resume -t -a fix", "go on in a terminal, and attach"],
    ],
  },
  {
    name: "restart",
    operands: "SEL",
    summary: "run the command of a session again, in a new session",
    details:
      "With the same command, kind, directory, labels and time limit. Prints the new id. The values\n" +
      "of variables are not stored: it says which are missing. `show` has the link: restarts.",
    foreign: { "--cwd": "use run" },
    options: [FORCE, ...AGAIN],
    completes: "session",
    examples: [
      ["restart fix", "once more"],
      ["restart -f --id ed2 ed", "stop it first"],
    ],
  },
  {
    name: "list",
    aliases: ["ls", "ps"],
    operands: "",
    summary: "list sessions, newest first",
    details:
      "Columns that don't fit the terminal, or $COLUMNS, are left out. STATE says what a running\n" +
      "session does, if it tells: working, blocked, done, idle or error. ~idle is a guess: no output or\n" +
      "input for this time. Of others it says how they ended; a * marks processes that are left over.\n" +
      "LAST is the time since the last output.",
    foreign: {
      "-a": "list shows all",
      "--filter": "use -l KEY=VALUE or --state S",
      "-f": "use -l KEY=VALUE or --state S",
      "--format": "use --json",
      "-o": "use --json",
      "--no-trunc": "use --wide",
      "-w": "use --wide",
    },
    options: [
      { name: "quiet", short: "q", help: "ids only" },
      { name: "wide", help: "all columns, lines of any length" },
      ...FILTERS.map((filter) => ({ ...filter, group: "Which sessions" })),
    ],
    examples: [
      ["list", "all sessions"],
      ["list --state running", "those that run"],
      ["list --status blocked,error", "those that need you"],
      ["list --wide | less -S", "everything about them"],
      ["list --json | jq -r '.[].id'", "for programs"],
    ],
  },
  {
    name: "show",
    operands: "SEL…",
    summary: "show all details of sessions as JSON",
    options: FILTERS,
    completes: "sessions",
    examples: [["show 0", "the newest session"], [
      "show fix | jq '.[0].processes'",
      "its live processes",
    ]],
  },
  {
    name: "attach",
    noJson: true,
    operands: "[SEL]",
    summary: "watch a session and send it input",
    details:
      "Prints the output from the beginning, follows it, and sends each line that you type. Press\n" +
      "Ctrl-C or Ctrl-D to detach; the session keeps running. When the session ends, attach says how,\n" +
      "and ends with the agent's exit status. Without SEL it takes the only running session, or asks\n" +
      "which one.\n\n" +
      "In a terminal session you see its screen, and every key goes to the program; press ctrl-\\ to\n" +
      "detach (press it twice to send it). After the session has ended, attach prints its last screen.\n\n" +
      "Input from a file or a pipe is sent; then attach shows the output so far and detaches. To\n" +
      "follow to the end instead, use --read-only, or logs -f. With `run -i -a` and `create -a repl`\n" +
      "the end of a file or pipe is also the end of the agent's input.",
    foreign: {
      "--json": "attach prints no JSON",
      "-t": "give the session alone: attach SEL",
    },
    options: [
      ...STREAMS,
      {
        name: "tail",
        short: "n",
        value: "N",
        help: "start with the last N lines",
      },
      { name: "read-only", help: "send no input" },
      {
        name: "detach-keys",
        value: "KEYS",
        help: "keys that detach from a terminal, such as ctrl-p,ctrl-q",
      },
    ],
    completes: "session",
    live: true,
    examples: [["attach", "the running session"], [
      "attach fix",
      "from the beginning",
    ], [
      "attach --tail 20 0",
      "the last lines of the newest session",
    ]],
  },
  {
    name: "logs",
    noJson: true,
    operands: "SEL",
    summary: "print the output of a session",
    details:
      "Prints the session's standard output on standard output and its standard error on standard\n" +
      "error, each byte as it was written. On a terminal, it prints a terminal session as text, as\n" +
      "with --plain.",
    foreign: {
      "--json": "logs prints no JSON",
      "--since": "use -n N",
      "--head": "use -n N",
    },
    options: [
      {
        name: "follow",
        short: "f",
        help: "keep printing until the session ends",
      },
      {
        name: "tail",
        short: "n",
        value: "N",
        help: "only the last N lines of each stream",
      },
      ...STREAMS,
      {
        name: "plain",
        help: "text without escape sequences; with -n, from the last 2 MiB",
      },
      { name: "raw", help: "bytes, even of a terminal on a terminal" },
    ],
    completes: "session",
    examples: [["logs -f fix", "follow it"], [
      "logs --stderr -n 50 fix | grep error",
      "in its last errors",
    ]],
  },
  {
    name: "screen",
    operands: "SEL",
    summary: "print the current screen of a terminal session as text",
    options: [
      { name: "ansi", help: "keep colours, as escape sequences" },
      { name: "scrollback", value: "N", help: "also N lines of scrollback" },
      { name: "full", help: "also the blank lines at the end" },
    ],
    completes: "session",
    examples: [
      ["screen ed", "the current screen"],
      ["screen --json ed | jq .cursor", "with size, cursor and title"],
    ],
  },
  {
    name: "events",
    operands: "[SEL…]",
    summary: "print what happened in sessions, as JSON",
    details:
      "Prints a JSON object a line: created, started, status, notification, title, attached, detached,\n" +
      "input, stopped, exited, lost, deleted. Without SEL, of all sessions.\n\n" +
      "With --follow, it prints what happened and then what happens, also in new sessions. With SEL,\n" +
      "it ends when these sessions have ended.",
    foreign: {
      "--tail": "use --since D",
      "-n": "use --since D",
      "--filter": "use --type or --label",
      "--format": "it prints JSON",
    },
    options: [
      {
        name: "follow",
        short: "f",
        help: "keep printing what happens",
      },
      {
        name: "since",
        value: "D",
        help: "of the past, only this long, such as 10m",
      },
      {
        name: "type",
        value: "T[,T]",
        repeat: true,
        help: "only events of these types",
      },
      ...FILTERS,
    ],
    completes: "sessions",
    examples: [
      ["events -f fix", "the life of one session, until it ends"],
      ["events --since 1h --type exited,lost", "what ended in the last hour"],
      ['events | jq -r \'.at + " " + .id + " " + .type\'', "as columns"],
    ],
  },
  {
    name: "send",
    operands: "SEL TEXT… | SEL --key KEY… | SEL --stdin | SEL --eof",
    takesText: true,
    summary: "send input to a session",
    details:
      "In a terminal session, the text is typed, as a paste if the program supports that, followed by\n" +
      "Enter. With --key, the keys follow the text instead of Enter. Keys: enter, tab, escape, up,\n" +
      "pagedown, f5, ctrl-c, alt-x, shift-tab, …; tmux's names, such as C-c, mean the same.\n\n" +
      "Text that starts with a dash follows --.\n\n" +
      "While an agent in a terminal waits for a permission, text is refused with status 5: the Enter\n" +
      "behind it would approve. Answer with --key, attach, or give -f.\n\n" +
      "With --for, it then waits, as `wait` does, and prints what came after the sending: the output,\n" +
      "or the new lines of a terminal. It ends with the status of `wait`: with --for turn, 1 if the turn\n" +
      "has failed, 5 if the agent waits for its user.\n\n" +
      "With --for turn --answer, it prints the agent's answer of that turn, as `answer` does. If the\n" +
      "agent waits for its user instead, it says for what.",
    foreign: {
      "--enter": "Enter is pressed without it",
      "-t": "give the session alone: send SEL TEXT",
    },
    options: [
      {
        name: "no-newline",
        help: "send no newline or Enter after the text",
      },
      { name: "stdin", help: "send standard input unchanged" },
      {
        name: "key",
        short: "k",
        value: "KEY",
        repeat: true,
        help: "press a key in a terminal session; can be repeated",
      },
      { name: "eof", help: "close the input: the agent reads end of file" },
      {
        name: "force",
        short: "f",
        help: "send text even if the agent waits for a permission",
      },
      {
        name: "for",
        value: "CONDITION",
        help:
          "then wait for turn, status=S, exit, output=REGEX, idle=D or screen=REGEX; print what came",
      },
      {
        name: "answer",
        help: "with --for turn: print the agent's own record of its answer",
      },
      {
        name: "timeout",
        value: "D",
        help:
          "how long to wait if the agent doesn't read (default: 5s); with --for, for all of it",
      },
      ...FILTERS,
    ],
    completes: "session",
    live: true,
    examples: [
      ["send fix 'now write a test for it'", "a line"],
      [
        "send fix 'why did it fail?' --for idle=10s --timeout 5m",
        "ask; print the answer",
      ],
      [
        "send fix 'and now?' --for turn",
        "until the agent has finished its turn",
      ],
      ["send fix --stdin < notes.txt", "a file"],
      ["send fix --eof", "close the input"],
      ["send ed -k escape -k up", "keys in a terminal"],
    ],
  },
  {
    name: "answer",
    operands: "SEL",
    summary: "print the last message of a session's agent",
    details:
      "Prints the message as the agent itself has recorded it, with a newline at its end. --json has\n" +
      "it exactly, with its turn, time, tokens and, where known, cost. Works for Codex and Claude\n" +
      "Code, also when the session has ended or is lost.\n\n" +
      "If a later turn is not over, it prints the last answer and says so on standard error. If the\n" +
      "last turn has failed, it ends with status 1; if the first one waits for its user, with 5.",
    options: [],
    completes: "session",
    examples: [
      ["answer fix", "what it said last"],
      ["answer --json fix | jq .tokens", "what that has cost"],
    ],
  },
  {
    name: "wait",
    operands: "SEL…",
    summary: "wait for sessions to end; print id and exit status of each",
    details:
      "Ends with the first exit status, in the order named, that is not 0; on timeout with 124.\n\n" +
      "With --for, it waits for a condition and prints the id: output=REGEX (anywhere in the output so\n" +
      "far, of either stream), idle=D (neither output nor input for this time), screen=REGEX (on the\n" +
      "screen of a terminal), status=S[,S] (what the program tells: blocked, error, working, done, idle),\n" +
      "turn (the turn that began with the last input is over: done, 0; failed, 1; blocked, 5). To wait\n" +
      "for what comes after some input, use `send --for`.",
    options: [
      {
        name: "for",
        value: "CONDITION",
        help:
          "exit (default), turn, status=S, output=REGEX, idle=D or screen=REGEX",
      },
      {
        name: "timeout",
        value: "D",
        help: "give up after this time with status 124",
      },
      ...FILTERS,
    ],
    completes: "sessions",
    examples: [
      ["wait fix && git diff", "after it has succeeded"],
      ["wait --timeout 10m a b c", "several sessions, for ten minutes"],
      [
        "wait --for idle=5s ed && codex-session screen ed",
        "after 5 s of silence",
      ],
      ["wait --for status=blocked,error a b c", "until each needs you"],
    ],
  },
  {
    name: "report",
    operands: "STATUS",
    summary: "tell what this session does, from inside of it",
    details:
      "For scripts, and hooks of agents. STATUS: working, blocked, done, error, idle, or clear, which\n" +
      "takes the last report back. `list` and `show` tell it, and `wait --for status=…` waits for it.\n" +
      "It counts until the next report, and as long as the session's agent lives, or process PID.\n" +
      "What a program tells its terminal, or an agent records in its files, comes first.",
    options: [
      {
        name: "message",
        short: "m",
        value: "TEXT",
        help: "one line for people",
      },
      {
        name: "kind",
        value: "KIND",
        help: "what is needed if it is blocked: permission, question or auth",
      },
      { name: "progress", value: "N", help: "how far it is, from 0 to 100" },
      { name: "title", value: "TEXT", help: "a short label for people" },
      { name: "pid", value: "PID", help: "end the report with this process" },
    ],
    examples: [
      ["report working --progress 40", "in a script"],
      ["report blocked --kind question -m 'which branch?'", "it needs you"],
      ["report done", "it has finished"],
    ],
  },
  {
    name: "stop",
    operands: "SEL…",
    summary: "stop sessions and all their processes",
    details:
      "Signals every process of the session and returns when all of them are gone. With SIGTERM, a\n" +
      "process on a terminal that ignores it, such as an interactive shell, gets SIGHUP as well.\n" +
      "Also ends what an ended session has left over. Filters choose sessions that have processes.",
    foreign: {
      "-9": "use -s KILL",
      "-f": "use -t 0",
      "--force": "use -t 0",
      "--timeout": "use --time",
    },
    options: [
      {
        name: "signal",
        short: "s",
        value: "SIGNAL",
        help: "first signal (default: TERM); then SIGKILL",
      },
      {
        name: "time",
        short: "t",
        value: "D",
        help: "time between the two (default: 10s)",
      },
      ...FILTERS,
    ],
    completes: "sessions",
    live: true,
    examples: [
      ["stop fix", "SIGTERM, and SIGKILL after 10 s"],
      ["stop -s INT -t 1m fix", "like Ctrl-C, with a minute to finish"],
      ["stop -l task=42", "all that run with this label"],
    ],
  },
  {
    name: "delete",
    aliases: ["rm"],
    operands: "SEL…",
    summary: "delete ended sessions and their output",
    details: "Without -f, filters choose only sessions that have ended.",
    foreign: {
      "-r": "delete takes all of a session by itself",
    },
    options: [
      {
        name: "force",
        short: "f",
        help: "stop running sessions first; also delete damaged ones",
      },
      ...FILTERS,
    ],
    completes: "sessions",
    examples: [
      ["delete fix", "an ended session"],
      ["rm -f fix", "even if it is running"],
      ["delete --state exited", "all that have ended"],
      ["delete -l task=42", "all that have ended, with this label"],
    ],
  },
  {
    name: "prune",
    operands: "",
    summary: "delete all ended and lost sessions",
    options: [
      {
        name: "older-than",
        value: "D",
        help: "only if ended longer ago than this, such as 7d",
      },
      { name: "dry-run", help: "only list what would be deleted" },
    ],
    examples: [[
      "prune --older-than 7d",
      "sessions that ended a week ago or earlier",
    ]],
  },
  {
    name: "agents",
    operands: "",
    summary: "list the known agents, and what of them works",
    details:
      "Asks each agent on PATH for its version. STATUS, ANSWER and RESUME say whether its own files\n" +
      "tell what it is doing, whether `answer` and `resume` work: tried with the real program, only\n" +
      "read in its documents, or no.",
    options: [],
    examples: [
      ["agents", "those that this version knows"],
      ["agents --json | jq -r '.[] | select(.path).name'", "those on PATH"],
    ],
  },
  {
    name: "doctor",
    operands: "",
    summary: "check that this machine has what sessions need",
    details:
      "Prints one line per finding: ok, warning (sessions work, but something can be lost), or error\n" +
      "(sessions don't work), with advice. Runs a throwaway session of each kind, start to finish.\n" +
      "Exits with status 1 on an error.",
    options: [],
    examples: [
      ["doctor", "on a new machine"],
      [
        "doctor --json | jq -r '.[] | select(.status != \"ok\").advice'",
        "only the advice",
      ],
    ],
  },
  {
    name: "top",
    operands: "",
    summary: "show sessions live on the whole terminal, the most urgent first",
    details:
      "Also: codex-session alone, on a terminal. Enter attaches to the selected session; ctrl-\\ comes\n" +
      "back. Other keys start, send, stop, delete and resume; ? lists them. q leaves: the sessions go on.\n\n" +
      "Without a terminal, or on one that can't be drawn on (TERM=dumb), it prints what list prints.",
    noJson: true,
    options: [
      {
        name: "label",
        short: "l",
        value: "KEY[=VALUE]",
        repeat: true,
        help: "only sessions with this label",
      },
    ],
    examples: [
      ["top", "look, attach with Enter, come back with ctrl-\\"],
      ["top -l project=web", "only those of a project"],
    ],
  },
  {
    name: "web",
    operands: "",
    summary: "serve a page that shows sessions live in a browser",
    details:
      "Serves this machine only (127.0.0.1) until Ctrl-C; the sessions go on. Prints its URL, which holds\n" +
      "a secret of this run: who has it can do what you can. A second URL only lets look. Also says how\n" +
      "another machine gets there by SSH. --json prints one line with the URLs, the tokens and the port.",
    options: [
      {
        name: "port",
        value: "N",
        help:
          "listen on this port (default: one that is free, another one in each run, which is safer)",
      },
      {
        name: "host",
        value: "ADDRESS",
        help: "listen on this address or name (default: 127.0.0.1)",
      },
      { name: "read-only", help: "look at everything, change nothing" },
      { name: "open", help: "open the page in a browser" },
    ],
    examples: [
      ["web --open", "here"],
      ["web --port 7171", "for a tunnel that your SSH configuration names"],
      ["web --read-only", "to show somebody"],
    ],
  },
  {
    name: "mcp",
    operands: "",
    summary: "serve sessions as tools to an agent (Model Context Protocol)",
    details:
      "Speaks the protocol on standard input and output until that closes; the sessions go on. Without\n" +
      "--all it sees and touches only what the session that it runs in has started, and what that has\n" +
      "started. Outside of a session, it is what servers in the same working directory have started:\n" +
      "all clients in that directory share it.",
    noJson: true,
    options: [
      { name: "all", help: "see and touch all sessions" },
      { name: "read-only", help: "only tools that change nothing" },
      {
        name: "config",
        value: "CLIENT",
        help: "print the lines for the configuration of codex, claude or json",
      },
    ],
    examples: [
      ["mcp --config codex >>~/.codex/config.toml", "for Codex"],
      ["mcp --config claude >.mcp.json", "for Claude Code, in this project"],
      ["mcp --read-only --all", "look at everything, touch nothing"],
    ],
  },
  {
    name: "completions",
    noJson: true,
    operands: "bash|zsh|fish",
    summary: "print a completion script",
    foreign: { "--json": "completions prints no JSON" },
    options: [],
    details:
      "The script completes commands, options, and the ids of sessions. Load it when the shell\n" +
      "starts, after an alias for codex-session if there is one, or write it to a file in a folder\n" +
      "where the shell looks for completions.",
    examples: [
      ["$ source <(codex-session completions bash)", "in ~/.bashrc"],
      [
        "$ source <(codex-session completions zsh)",
        "in ~/.zshrc, after compinit",
      ],
      [
        "$ codex-session completions fish | source",
        "in ~/.config/fish/config.fish",
      ],
    ],
  },
];

/** The groups of the help, each with its commands. */
export const GROUPS: readonly (readonly [string, readonly string[]])[] = [
  ["Start", ["run", "create", "resume", "restart"]],
  ["Watch", ["top", "web", "list", "show", "logs", "screen", "events"]],
  ["Talk", ["attach", "send", "wait", "answer", "report"]],
  ["End", ["stop", "delete", "prune"]],
  ["Set up", ["doctor", "agents", "mcp", "completions"]],
];

/** The names that a command is called by, its own first. */
export function namesOf(
  { name, aliases = [] }: Pick<Command, "name" | "aliases">,
): string[] {
  return [name, ...aliases];
}

/** The command with this name or alias. */
export function findCommand(name: string): Command | undefined {
  return COMMANDS.find((command) => namesOf(command).includes(name));
}
