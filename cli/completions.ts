/**
 * Completion scripts for bash, zsh and fish, made from the same descriptions as the help.
 * For session ids, the scripts run `codex-session completions sessions`, which isn't for people:
 * it prints a line for each session, its id, a tab and its command.
 *
 * The completion depends on the number of operands before the cursor: `logs` takes one session,
 * `stop` any number, and after the command of `run` its own arguments begin. The value of an
 * option is never an operand.
 *
 * @module
 */
import { AGENT_NAMES } from "../agents/agents.ts";
import { ArgumentError } from "../errors.ts";
import { EVENT_TYPES } from "../events/event.ts";
import { cut } from "./format.ts";
import { type Handler, OK, onlyOperand } from "./io.ts";
import type { Option } from "./options.ts";
import { listSessions } from "../session/find.ts";
import { BLOCKED_KINDS, STATUS_VALUES } from "../screen/program_status.ts";
import { isLive, KIND_NAMES, SCOPES, STATES } from "../store.ts";
import { type Command, COMMANDS, namesOf, optionsOf } from "./usage.ts";

/** `completions`: a script on standard output. */
export const completions: Handler = async (call, io) => {
  const [what, which, more] = call.operands;
  if (what === "sessions" && more === undefined) {
    io.out(await sessionLines(which === "live"));
    return OK;
  }
  const shell = onlyOperand(call, "a shell: bash, zsh or fish");
  const script = { bash, zsh, fish }[shell];
  if (script === undefined) {
    throw new ArgumentError(`Unknown shell "${shell}": use bash, zsh or fish`);
  }
  io.out(script());
  return OK;
};

/** What the scripts complete: ids, newest first, each with a description. */
async function sessionLines(live: boolean): Promise<string> {
  const { commandText } = await import("./list.ts");
  return (await listSessions())
    .filter(({ state }) => !live || isLive(state))
    .map((session) => `${session.id}\t${cut(commandText(session), 60)}\n`)
    .join("");
}

/** `help` has no handler of its own, but is completed. */
const HELP: Command = {
  name: "help",
  operands: "[COMMAND]",
  summary: "show the help of a command",
  noJson: true,
  options: [],
  examples: [],
};
const ALL: readonly Command[] = [...COMMANDS, HELP];

/** The spellings of an option: `-f`, `--follow`. */
const spellings = ({ name, short }: Option) =>
  short === undefined ? [`--${name}`] : [`-${short}`, `--${name}`];

const isValued = ({ value }: Option) => value !== undefined;

/** The words for the first operand, of commands that take a fixed set. */
const OPERANDS: Readonly<Record<string, readonly string[]>> = {
  create: KIND_NAMES,
  completions: ["bash", "zsh", "fish"],
  help: COMMANDS.map(({ name }) => name),
  report: [...STATUS_VALUES, "clear"],
};

/** The values of options, where they are known. */
const VALUES: Readonly<
  Record<string, "folder" | "file" | "program" | readonly string[]>
> = {
  "cwd": "folder",
  "env-file": "file",
  "notify": "program",
  "scope": SCOPES,
  "agent": AGENT_NAMES,
  "config": ["codex", "claude", "json"],
  "for": ["exit", "turn", "status=", "output=", "idle=", "screen="],
  "kind": BLOCKED_KINDS,
  "state": STATES,
  "type": EVENT_TYPES,
  "status": STATUS_VALUES,
  "signal": ["TERM", "INT", "KILL", "HUP", "QUIT", "USR1", "USR2"],
  // The most common of many.
  "key": [
    ...["enter", "escape", "tab", "shift-tab", "backspace", "up", "down"],
    ...["left", "right", "pageup", "pagedown", "home", "end"],
    ...["ctrl-c", "ctrl-d"],
  ],
};

/** The options that take several of their words, with commas between them. */
const LISTS = ["state", "status", "type"];

/** The words that follow one such as `status=`: those of the option with this name. */
function wordsAfter(word: string): readonly string[] | undefined {
  const name = /^(.+)=$/.exec(word)?.[1] ?? "";
  const known = LISTS.includes(name) ? VALUES[name] : undefined;
  return typeof known === "string" ? undefined : known;
}

/** Text in single quotes, for bash and zsh; also for fish, if it holds no backslash. */
const quoted = (text: string) => `'${text.replaceAll("'", "'\\''")}'`;

/** The command that lists the sessions for a command's operands. */
const listFor = ({ live = false }: Command) =>
  `codex-session completions sessions${live ? " live" : ""}`;

function bash(): string {
  const commands = ALL.map((command) => {
    const options = optionsOf(command);
    const settings = [
      `options="${options.flatMap(spellings).join(" ")}"`,
      `valued=" ${options.filter(isValued).flatMap(spellings).join(" ")} "`,
    ];
    if (command.verbatim) settings.push("verbatim=y");
    if (command.completes !== undefined) {
      settings.push(`operand=${command.completes}`);
    }
    if (command.live) settings.push("live=live");
    const words = OPERANDS[command.name];
    if (words !== undefined) settings.push(`words="${words.join(" ")}"`);
    return `    ${namesOf(command).join(" | ")})
      ${settings.join("\n      ")} ;;`;
  });
  const values = COMMANDS.flatMap((command) =>
    command.options.filter(({ name }) => name in VALUES).map((option) => {
      const patterns = namesOf(command).flatMap((name) =>
        spellings(option).map((spelling) => `"${name} ${spelling}"`)
      );
      const value = VALUES[option.name]!;
      if (typeof value === "string") {
        const action = { folder: "-d", file: "-f", program: "-cf" }[value];
        return [
          `      ${patterns.join(" | ")}) _codex_session_files ${action} ;;`,
        ];
      }
      const isList = LISTS.includes(option.name);
      const offer = (words: readonly string[], isList: boolean) =>
        `_codex_session_${isList ? "list" : "words"} "${words.join(" ")}"`;
      const more = value.flatMap((word) => {
        const words = wordsAfter(word);
        if (words === undefined) return [];
        const longer = patterns.map((one) => one.replace(/"$/, ` ${word}"`));
        return [`      ${longer.join(" | ")}) ${offer(words, true)} ;;`];
      });
      return [
        `      ${patterns.join(" | ")}) ${offer(value, isList)} ;;`,
        ...more,
      ];
    }).flat()
  );
  return `# bash completion for codex-session
_codex_session_files() {
  local IFS=$'\\n'
  compopt -o filenames 2>/dev/null
  COMPREPLY=($(compgen "$1" -- "$cur"))
}
_codex_session_words() {
  COMPREPLY=($(compgen -W "$1" -- "$cur"))
}
_codex_session_list() {
  local head=""
  [[ $cur != *,* ]] || head="\${cur%,*},"
  COMPREPLY=($(compgen -P "$head" -W "$1" -- "\${cur##*,}"))
}
_codex_session() {
  local cur="\${COMP_WORDS[COMP_CWORD]}" command="\${COMP_WORDS[1]}"
  local options="" valued="" verbatim="" operand="" live="" words=""
  local operands=0 ended="" value="" word i
  COMPREPLY=()
  if [ "$COMP_CWORD" -eq 1 ]; then
    COMPREPLY=($(compgen -W "${
    ALL.flatMap(namesOf).join(" ")
  } --help --version" -- "$cur"))
    return
  fi
  case "$command" in
${commands.join("\n")}
  esac
  # "=" is a word of its own here: KEY=VALUE is three.
  for ((i = 2; i < COMP_CWORD; i++)); do
    word="\${COMP_WORDS[i]}"
    if [ -n "$ended" ]; then operands=$((operands + 1))
    elif [ "$word" = -- ]; then ended=y
    elif [ "$word" = "=" ]; then i=$((i + 1))
    elif [[ $valued == *" $word "* ]]; then
      i=$((i + 1))
      if [ "\${COMP_WORDS[i]}" = "=" ]; then
        if [ "$i" -eq "$COMP_CWORD" ]; then cur=""; else i=$((i + 1)); fi
      fi
      if [ "$i" -ge "$COMP_CWORD" ]; then value="$word"
      elif [ "\${COMP_WORDS[i + 1]}" = "=" ] && [ "$((i + 2))" -ge "$COMP_CWORD" ]; then
        value="$word \${COMP_WORDS[i]}="
        [ "$((i + 2))" -eq "$COMP_CWORD" ] || cur=""
      fi
    elif [[ $word != -?* ]]; then
      operands=$((operands + 1))
      ended="$verbatim"
    fi
  done
  if [ -n "$value" ]; then
    case "$command $value" in
${values.join("\n")}
    esac
    [[ \${COMPREPLY[0]-} != *= ]] || compopt -o nospace 2>/dev/null
  elif [ -z "$ended" ] && [[ $cur == -* ]]; then
    COMPREPLY=($(compgen -W "$options" -- "$cur"))
  elif [ "$operand" = sessions ] || { [ "$operand" = session ] && [ "$operands" -eq 0 ]; }; then
    # eval, because the command may be an alias.
    words=$(eval "codex-session completions sessions $live" 2>/dev/null | cut -f 1)
    COMPREPLY=($(compgen -W "$words" -- "$cur"))
  elif [ "$operands" -eq 0 ] && [ -n "$words" ]; then
    COMPREPLY=($(compgen -W "$words" -- "$cur"))
  elif [ "$operands" -eq 0 ] && [ "$operand" = files ]; then
    COMPREPLY=($(compgen -c -- "$cur"))
  elif [ -n "$verbatim" ]; then
    _codex_session_files -f
  fi
}
complete -F _codex_session codex-session
`;
}

/** The action that offers words; after a `=` something follows. */
function zshWords(words: readonly string[], isList: boolean): string {
  if (isList) return `_sequence compadd - ${words.join(" ")}`;
  const open = words.filter((word) => word.endsWith("="));
  if (open.length === 0) return `(${words.join(" ")})`;
  const whole = words.filter((word) => !open.includes(word));
  const lists = open.flatMap((word) => {
    const after = wordsAfter(word);
    if (after === undefined) return [];
    return [`if compset -P ${word}; then ${zshWords(after, true)}; else `];
  });
  return `{${lists.join("")}compadd -S "" ${open.join(" ")}; compadd ${
    whole.join(" ")
  }${"; fi".repeat(lists.length)}}`;
}

/** An option as `_arguments` of zsh describes it, once for each spelling. */
function zshOption(option: Option): string[] {
  const { name, value, help, repeat = false } = option;
  const all = spellings(option);
  return all.map((spelling) => {
    const once = repeat ? "*" : `(${all.join(" ")})`;
    const text = `[${help.replace(/[[\]\\]/g, "\\$&")}]`;
    if (value === undefined) return quoted(once + spelling + text);
    const known = VALUES[name];
    const action = known === "folder"
      ? "_files -/"
      : known === "file"
      ? "_files"
      : known === "program"
      ? "{_command_names -e; _files}"
      : known === undefined
      ? " "
      : zshWords(known, LISTS.includes(name));
    const sign = spelling.startsWith("--") ? "=" : "+";
    return quoted(`${once}${spelling}${sign}${text}:${value}:${action}`);
  });
}

/** The operands of a command as `_arguments` describes them. */
function zshOperands(command: Command): string[] {
  const ids = `session:_codex-session_ids${command.live ? " live" : ""}`;
  if (command.completes === "sessions") return [`*:${ids}`];
  if (command.completes === "session") return [`1:${ids}`];
  if (command.completes === "files") {
    return ["(-)1:command:_command_names -e", "*::argument:_normal"];
  }
  const words = OPERANDS[command.name];
  if (words === undefined) return [];
  const first = `${command.verbatim ? "(-)" : ""}1:kind:(${words.join(" ")})`;
  return command.verbatim ? [first, "*:argument:_files"] : [first];
}

function zsh(): string {
  const commands = ALL.flatMap((command) =>
    namesOf(command).map((name) => quoted(`${name}:${command.summary}`))
  );
  const cases = ALL.map((command) => {
    const specs = [
      ...optionsOf(command).flatMap(zshOption),
      ...zshOperands(command).map(quoted),
    ];
    return `    ${namesOf(command).join("|")})
      _arguments -s -S ${specs.join(" \\\n        ")} ;;`;
  });
  return `#compdef codex-session
# zsh completion for codex-session
if (( $+aliases[codex-session] )); then
  # zsh completes what an alias stands for, so it becomes a function.
  functions[codex-session]="$aliases[codex-session] \\"\\$@\\""
  unalias codex-session
fi
_codex-session_ids() {
  local -a lines
  lines=(\${(f)"$(codex-session completions sessions "\${(@)argv[(r)live]}" 2>/dev/null)"})
  # Descriptions lose a backslash.
  lines=("\${(@)\${(@)lines//\\\\/\\\\\\\\}/$'\\t'/:}")
  _describe -V -t sessions session lines
}
_codex-session() {
  if (( CURRENT == 2 )); then
    local -a commands
    commands=(${commands.join("\n      ")})
    _describe -t commands command commands
    return
  fi
  local command=$words[2]
  shift words
  (( CURRENT-- ))
  case $command in
${cases.join("\n")}
  esac
}
if [ "$funcstack[1]" = "_codex-session" ]; then
  _codex-session "$@"
else
  compdef _codex-session codex-session
fi
`;
}

/** What offers words, and the words that follow a `=`. */
function fishWords(words: readonly string[], isList: boolean): string {
  const list = (start: string, words: readonly string[]) =>
    `(__codex_session_list "${start}" ${words.join(" ")})`;
  if (isList) return list("", words);
  return words.map((word) => {
    const after = wordsAfter(word);
    return after === undefined ? word : list(word, after);
  }).join(" ");
}

function fish(): string {
  const complete = (condition: string, rest: string) =>
    `complete -c codex-session -n ${quoted(condition)} ${rest}`;
  const valued = ALL.map((command) =>
    `    case ${namesOf(command).join(" ")}
      set valued ${
      optionsOf(command).filter(isValued).flatMap(spellings).join(" ")
    }`
  );
  const verbatim = ALL.filter((command) => command.verbatim)
    .flatMap(namesOf);
  const lines = ALL.flatMap((command) => {
    const names = namesOf(command).join(" ");
    const whenAny = `__codex_session_after any ${names}`;
    const whenFirst = `__codex_session_after 0 ${names}`;
    const whenOption = command.verbatim ? whenFirst : whenAny;
    const options = optionsOf(command).map((option) => {
      const { name, short, help } = option;
      const known = VALUES[name];
      const value = !isValued(option)
        ? ""
        : known === "file"
        ? " -r -F"
        : known === "folder"
        ? " -x -a '(__fish_complete_directories)'"
        : known === "program"
        ? " -r -F -a '(__fish_complete_command)'"
        : known === undefined
        ? " -x"
        : ` -x -a ${quoted(fishWords(known, LISTS.includes(name)))}`;
      const spelling = `${short === undefined ? "" : `-s ${short} `}-l ${name}`;
      return complete(whenOption, `${spelling}${value} -d ${quoted(help)}`);
    });
    const operands: string[] = [];
    if (command.completes === "sessions") {
      operands.push(
        complete(whenAny, `-k -a '(${listFor(command)} 2>/dev/null)'`),
      );
    } else if (command.completes === "session") {
      operands.push(
        complete(whenFirst, `-k -a '(${listFor(command)} 2>/dev/null)'`),
      );
    } else if (command.completes === "files") {
      operands.push(complete(whenFirst, "-a '(__fish_complete_command)'"));
    }
    const words = OPERANDS[command.name];
    if (words !== undefined) {
      operands.push(complete(whenFirst, `-a ${quoted(words.join(" "))}`));
    }
    if (command.verbatim) {
      operands.push(complete(`not ${whenFirst}; and ${whenAny}`, "-F"));
    }
    return [...options, ...operands];
  });
  const commands = ALL.flatMap((command) =>
    namesOf(command).map((name) =>
      complete(
        "__codex_session_after command",
        `-a ${name} -d ${quoted(command.summary)}`,
      )
    )
  );
  return `# fish completion for codex-session
# The operands before the cursor, one a line.
function __codex_session_operands
  set -l words (commandline -opc)
  set -l command $words[2]
  set -e words[1..2]
  set -l valued
  switch "$command"
${valued.join("\n")}
  end
  while set -q words[1]
    set -l word $words[1]
    set -e words[1]
    if test "$word" = --
      set -q words[1]; and printf '%s\\n' $words
      return
    else if contains -- $word $valued
      set -e words[1]
    else if not string match -q -- '-?*' $word
      echo $word
      if contains -- "$command" ${verbatim.join(" ")}
        set -q words[1]; and printf '%s\\n' $words
        return
      end
    end
  end
end
# Tells whether the cursor stands after: no command yet, or one of these with at
# most so many operands.
function __codex_session_after
  set -l words (commandline -opc)
  if test $argv[1] = command
    test (count $words) -eq 1
    return
  end
  set -q words[2]; and contains -- $words[2] $argv[2..-1]; or return 1
  test $argv[1] = any; or test (count (__codex_session_operands)) -le $argv[1]
end
# Words behind a start, or behind the last comma of the one before the cursor.
function __codex_session_list
  set -l word (commandline -ct | string replace -r '^--[a-z-]+=' '')
  set -l head (string match -r '^.*,' -- $word); or set head $argv[1]
  printf '%s\\n' "$head"$argv[2..-1]
end
complete -c codex-session -f
${commands.join("\n")}
${lines.join("\n")}
`;
}
