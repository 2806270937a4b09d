/**
 * Completion scripts for bash, zsh and fish, made from the same descriptions as
 * the help. Session ids come from `codex-session list -q` at the moment of asking.
 *
 * @module
 */
import { ArgumentError } from "./errors.ts";
import { type Handler, OK, onlyOperand } from "./cli_io.ts";
import { type Command, COMMANDS, COMMON } from "./usage.ts";

/** `completions`: a script on standard output. */
// deno-lint-ignore require-await
export const completions: Handler = async (call, io) => {
  const shell = onlyOperand(call, "a shell: bash, zsh or fish");
  const script = { bash, zsh, fish }[shell];
  if (script === undefined) {
    throw new ArgumentError(`Unknown shell "${shell}": use bash, zsh or fish`);
  }
  io.out(script());
  return OK;
};

const visible = () => COMMANDS.filter(({ hidden }) => !hidden);
const namesOf = ({ name, aliases = [] }: Command) => [name, ...aliases];

function optionWords(command: Command): string {
  return [...command.options, ...COMMON].flatMap(({ name, short }) =>
    short === undefined ? [`--${name}`] : [`-${short}`, `--${name}`]
  ).join(" ");
}

/** The first operand's words, where they are a fixed set. */
const WORDS: Readonly<Record<string, string>> = {
  create: "exec repl",
  completions: "bash zsh fish",
};

function bash(): string {
  const cases = visible().map((command) => {
    const wanted = command.completes?.startsWith("session")
      ? "$(codex-session list -q 2>/dev/null)"
      : WORDS[command.name] ?? "";
    const files = command.completes === "files"
      ? `\n      [[ $cur == -* ]] || { COMPREPLY=($(compgen -c -- "$cur")); return; }`
      : "";
    return `    ${namesOf(command).join("|")})${files}
      words="${wanted}"; options="${optionWords(command)}" ;;`;
  });
  return `# bash completion for codex-session
_codex_session() {
  local cur="\${COMP_WORDS[COMP_CWORD]}" words="" options=""
  COMPREPLY=()
  if [ "$COMP_CWORD" -eq 1 ]; then
    COMPREPLY=($(compgen -W "${
    visible().flatMap(namesOf).join(" ")
  } --help --version" -- "$cur"))
    return
  fi
  case "\${COMP_WORDS[COMP_CWORD-1]}" in
    --cwd) COMPREPLY=($(compgen -d -- "$cur")); return ;;
    --env-file) COMPREPLY=($(compgen -f -- "$cur")); return ;;
    --state) COMPREPLY=($(compgen -W "starting running exited lost damaged" -- "$cur")); return ;;
  esac
  case "\${COMP_WORDS[1]}" in
${cases.join("\n")}
  esac
  if [[ $cur == -* ]]; then COMPREPLY=($(compgen -W "$options" -- "$cur"))
  else COMPREPLY=($(compgen -W "$words" -- "$cur")); fi
}
complete -F _codex_session codex-session
`;
}

/** Text between single quotes of a shell. */
const quoted = (text: string) => `'${text.replaceAll("'", "'\\''")}'`;

function zsh(): string {
  const commands = visible().flatMap((command) =>
    namesOf(command).map((name) => quoted(`${name}:${command.summary}`))
  );
  const cases = visible().map((command) => {
    const options = [...command.options, ...COMMON].flatMap((option) => {
      const text = `[${option.help.replace(/[[\]]/g, "")}]`;
      const value = option.value === undefined
        ? ""
        : `:${option.value}:${
          option.name === "cwd"
            ? "_files -/"
            : option.name === "env-file"
            ? "_files"
            : ""
        }`;
      const many = option.repeat ? "*" : "";
      const names = option.short === undefined
        ? [`--${option.name}`]
        : [`-${option.short}`, `--${option.name}`];
      return names.map((name) => quoted(`${many}${name}${text}${value}`));
    });
    const operands = command.completes?.startsWith("session")
      ? quoted("*:session:_codex_session_ids")
      : command.completes === "files"
      ? quoted("*::command:_normal")
      : command.name in WORDS
      ? quoted(`1:kind:(${WORDS[command.name]})`)
      : "";
    return `    ${namesOf(command).join("|")}) _arguments ${
      options.join(" ")
    } ${operands} ;;`;
  });
  return `#compdef codex-session
# zsh completion for codex-session
_codex_session_ids() {
  local -a ids
  ids=(\${(f)"$(codex-session list -q 2>/dev/null)"})
  compadd -a ids
}
_codex_session() {
  if (( CURRENT == 2 )); then
    local -a commands
    commands=(${commands.join(" ")})
    _describe command commands
    return
  fi
  local command=$words[2]
  shift words; (( CURRENT-- ))
  case $command in
${cases.join("\n")}
  esac
}
if [ "$funcstack[1]" = _codex_session ]; then _codex_session "$@"; else compdef _codex_session codex-session; fi
`;
}

function fish(): string {
  const lines = visible().flatMap((command) => {
    const seen = `__fish_seen_subcommand_from ${namesOf(command).join(" ")}`;
    const operands = command.completes?.startsWith("session")
      ? [
        `complete -c codex-session -n ${
          quoted(seen)
        } -a '(codex-session list -q 2>/dev/null)'`,
      ]
      : command.completes === "files"
      ? [
        `complete -c codex-session -n ${
          quoted(seen)
        } -a '(__fish_complete_command)'`,
      ]
      : command.name in WORDS
      ? [
        `complete -c codex-session -n ${quoted(seen)} -a ${
          quoted(WORDS[command.name]!)
        }`,
      ]
      : [];
    return [
      ...namesOf(command).map((name) =>
        `complete -c codex-session -n __fish_use_subcommand -a ${name} -d ${
          quoted(command.summary)
        }`
      ),
      ...[...command.options, ...COMMON].map(({ name, short, value, help }) =>
        `complete -c codex-session -n ${quoted(seen)}${
          short === undefined ? "" : ` -s ${short}`
        } -l ${name}${value === undefined ? "" : " -r"} -d ${quoted(help)}`
      ),
      ...operands,
    ];
  });
  return `# fish completion for codex-session
complete -c codex-session -f
${lines.join("\n")}
`;
}
