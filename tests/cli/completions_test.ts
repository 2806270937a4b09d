/**
 * The completion scripts, asked by the real shells.
 *
 * @module
 */
import { encodeKey } from "../../screen/keys.ts";
import { COMMANDS } from "../../cli/usage.ts";
import { join } from "../../std.ts";
import { assert, assertEquals, PROJECT, TestRoot } from "../helpers.ts";

/** Where a `codex-session` stands on the PATH, and the home of the shells. */
class Setup implements Disposable {
  readonly root = new TestRoot();
  readonly dir: string = Deno.makeTempDirSync({ prefix: "codex-session-sh-" });
  readonly env: Record<string, string>;

  constructor() {
    const bin = join(this.dir, "bin");
    Deno.mkdirSync(bin);
    Deno.writeTextFileSync(
      join(bin, "codex-session"),
      `#!/bin/sh\nexec "${Deno.execPath()}" run --quiet -A "${PROJECT}cli.ts" "$@"\n`,
      { mode: 0o755 },
    );
    this.env = {
      PATH: `${bin}:${Deno.env.get("PATH")}`,
      HOME: this.dir,
      ZDOTDIR: this.dir,
      XDG_CONFIG_HOME: this.dir,
      XDG_DATA_HOME: this.dir,
      CODEX_SESSION_HOME: this.root.dir,
      LC_ALL: "C.UTF-8",
      TERM: "dumb",
    };
  }

  [Symbol.dispose](): void {
    this.root[Symbol.dispose]();
    Deno.removeSync(this.dir, { recursive: true });
  }

  /** Runs a program to its end and returns what it printed. */
  async run(program: string, ...args: string[]): Promise<string> {
    const { code, stdout, stderr } = await new Deno.Command(program, {
      args,
      cwd: this.dir,
      env: this.env,
    }).output();
    const decoder = new TextDecoder();
    const [out, err] = [decoder.decode(stdout), decoder.decode(stderr)];
    assertEquals([code, err], [0, ""], `${program} ${args.join(" ")}: ${out}`);
    return out;
  }

  /** Makes the sessions that are completed, and the script of a shell. */
  async prepare(shell: string): Promise<string> {
    for (const id of ["brave-otter", "brisk-owl", "calm-fox"]) {
      await this.run("codex-session", "run", "-i", "--id", id, "cat");
    }
    await this.run("codex-session", "run", "--id", "bygone", "true");
    await this.run("codex-session", "wait", "bygone");
    Deno.writeTextFileSync(join(this.dir, "notes.txt"), "");
    const file = join(this.dir, `_codex-session.${shell}`);
    const text = await this.run("codex-session", "completions", shell);
    Deno.writeTextFileSync(file, text);
    return file;
  }
}

/** The lines of a text, sorted, each once. */
const lines = (text: string) =>
  [...new Set(text.split(/\r?\n/))].filter(Boolean).sort();

/** A shell's answer: what the last of these words, begun or empty, may become. */
type Complete = (...words: string[]) => Promise<string[]>;

/** What every shell has to complete. */
async function assertCompletes(complete: Complete): Promise<void> {
  assertEquals(await complete("st"), ["stop"]);
  const commands = await complete("");
  for (const { name, aliases = [] } of COMMANDS) {
    for (const word of [name, ...aliases]) {
      assertEquals(commands.includes(word), true, word);
    }
  }
  for (const name of "attach stop send".split(" ")) {
    assertEquals(await complete(name, "b"), ["brave-otter", "brisk-owl"], name);
  }
  for (const name of "logs delete rm wait show".split(" ")) {
    const ids = ["brave-otter", "brisk-owl", "bygone"];
    assertEquals(await complete(name, "b"), ids, name);
  }
  const all = ["brave-otter", "brisk-owl", "calm-fox"];
  assertEquals(await complete("stop", "calm-fox", "br"), all.slice(0, 2));
  assertEquals(await complete("logs", "-f", "c"), ["calm-fox"]);
  assertEquals(await complete("logs", "--fol"), ["--follow"]);
  assertEquals(await complete("stop", "--ti"), ["--time"]);
  assertEquals(await complete("list", "--st"), ["--state", "--status"]);
  assertEquals(await complete("list", "--status", "bl"), ["blocked"]);
  assertEquals(await complete("list", "--state", "r"), ["running"]);
  const last = async (...words: string[]) =>
    (await complete(...words)).map((word) => word.replace(/^.*[,=](?=.)/, ""));
  assertEquals(await last("list", "--status", "blocked,d"), ["done"]);
  assertEquals(await last("wait", "--for", "status=d"), ["done"]);
  assertEquals(await last("wait", "--for", "status=blocked,d"), ["done"]);
  assertEquals(await complete("stop", "--state", "e"), ["exited"]);
  assertEquals(await complete("wait", "--for", "o"), ["output="]);
  assertEquals(await complete("wait", "--for", "e"), ["exit"]);
  assertEquals(await complete("help", "st"), ["stop"]);
  assertEquals(await complete("hel"), ["help"]);
  assertEquals(await complete("send", "calm-fox", "-k", "es"), ["escape"]);
  for (const key of await complete("send", "calm-fox", "-k", "")) {
    assert(encodeKey(key).length > 0, key);
  }
  assertEquals(await complete("create", ""), ["exec", "pty", "repl"]);
  assertEquals(await complete("completions", "z"), ["zsh"]);
  // The value of an option is not a session.
  assertEquals(await complete("logs", "-n", "b"), []);
  assertEquals(await complete("stop", "--signal", "b"), []);
  // Sessions of a single operand are not offered for a second one.
  assertEquals(await complete("logs", "calm-fox", "b"), []);
  // Commands, folders and files, for what is to be run.
  const includes = async (wanted: string, ...words: string[]) => {
    const found = (await complete(...words)).map((path) =>
      path.replace(/\/$/, "")
    );
    assert(found.includes(wanted), `${words.join(" ")}: ${found.join(" ")}`);
  };
  await includes("codex-session", "run", "codex-sess");
  await includes("codex-session", "run", "--rm", "-e", "A", "--", "codex-sess");
  await includes("notes.txt", "run", "cat", "no");
  await includes("notes.txt", "create", "exec", "no");
  await includes("notes.txt", "run", "--env-file", "no");
  await includes("bin", "run", "--cwd", "bi");
  await includes("codex-session", "run", "--notify", "codex-sess");
  await includes("notes.txt", "run", "--notify", "no");
  // After the command its own options begin.
  assertEquals(await complete("run", "cat", "--env-f"), []);
}

/** Why a shell can't be asked, said in the test's name. */
function missing(shell: string): string | undefined {
  try {
    new Deno.Command(shell, {
      args: ["-c", ":"],
      stdout: "null",
      stderr: "null",
    })
      .outputSync();
    return undefined;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return `no ${shell} here`;
    throw error;
  }
}

/** Asks a shell, given the script that `codex-session completions` prints for it. */
function test(
  shell: string,
  what: string,
  body: (setup: Setup, file: string) => Promise<void>,
): void {
  const reason = Deno.build.os === "windows"
    ? "no sessions on Windows"
    : missing(shell);
  const skipped = reason === undefined ? "" : ` (skipped: ${reason})`;
  Deno.test({
    name: `${shell} ${what}${skipped}`,
    ignore: reason !== undefined,
    async fn() {
      using setup = new Setup();
      await body(setup, await setup.prepare(shell));
    },
  });
}

const WHAT = "completes commands, options, their values and session ids";

// As bash itself does it: the function that `complete -F` names is called with
// the words of the line and fills COMPREPLY.
const BASH = `
source "$1"; shift
read -r _ _ function _ < <(complete -p codex-session)
COMP_WORDS=(codex-session "$@")
COMP_CWORD=$#
COMP_LINE="\${COMP_WORDS[*]}"
COMP_POINT=\${#COMP_LINE}
"$function" codex-session "\${COMP_WORDS[COMP_CWORD]}" "\${COMP_WORDS[COMP_CWORD-1]}"
[ \${#COMPREPLY[@]} -eq 0 ] || printf '%s\\n' "\${COMPREPLY[@]}"
`;

test("bash", WHAT, async (setup, file) => {
  // "=" is a word of its own in COMP_WORDS.
  const split = (word: string) =>
    /^\w+=/.test(word) ? word.split(/(=)/).filter(Boolean) : [word];
  const complete: Complete = async (...words) => {
    const args = words.flatMap(split);
    return lines(
      await setup.run("bash", "--norc", "-c", BASH, "bash", file, ...args),
    );
  };
  await assertCompletes(complete);
  // "=" is a word of its own in COMP_WORDS.
  assertEquals(await complete("list", "--state", "=", "r"), ["running"]);
  assertEquals((await complete("list", "--state", "=")).length, 5);
  const found = await complete("run", "-e", "A", "=", "b", "codex-sess");
  assert(found.includes("codex-session"));
});

test("fish", WHAT, async (setup, file) => {
  const complete: Complete = async (...words) => {
    const line = ["codex-session", ...words].join(" ");
    const ask = "source $argv[1]; complete --do-complete=$argv[2]";
    const out = await setup.run("fish", "--no-config", "-c", ask, file, line);
    // Each with its description after a tab.
    return lines(out.replace(/\t.*$/gm, ""));
  };
  await assertCompletes(complete);
  assertEquals(await complete("list", "--state=r"), ["--state=running"]);
  const ask = "source $argv[1]; complete --do-complete='codex-session stop c'";
  assertEquals(
    await setup.run("fish", "--no-config", "-c", ask, file),
    "calm-fox\tcat\n",
  );
});

// zsh completes at a prompt only, so it gets one: a second zsh on a pseudo-terminal,
// where Tab is pressed and `compadd` tells what it is given.
const ZSH = `
zmodload zsh/zpty
zpty completer zsh -f -i
zpty -w completer "source $1"
zpty -r -m completer line '*<ready>*' || exit 1
zpty -w -n completer "$2"$'\\t'
zpty -r -m completer text '*<done>*' || exit 1
print -r -- "$text"
zpty -d completer
`;
const ZSH_INSIDE = (load: string) => `
PROMPT= RPROMPT=
unsetopt zle_bracketed_paste 2>/dev/null
unset zle_bracketed_paste
stty -echo
autoload -Uz compinit
${load}
bindkey '^I' complete-word
zstyle ':completion:*' list-grouped false
compadd() {
  # Those calls only compute; the others add what -O tells.
  if [[ \${@[1,(i)(-|--)]} == *-(O|A|D)\\ * ]]; then builtin compadd "$@"; return; fi
  local -a hits
  builtin compadd -O hits "$@"
  (( $#hits )) && print -rl -- "<hit>"$^hits
  builtin compadd "$@"
}
finish() { print -r -- '<done>'; exit }
comppostfuncs=(finish)
print -r -- '<rea''dy>'
`;

/** Asks zsh after it has been made to `load` the completions. */
function askZsh(setup: Setup, load: string): Complete {
  const inside = join(setup.dir, "inside.zsh");
  Deno.writeTextFileSync(inside, ZSH_INSIDE(load));
  return async (...words) => {
    const line = ["codex-session", ...words].join(" ");
    const out = await setup.run("zsh", "-f", "-c", ZSH, "zsh", inside, line);
    const hits = [...out.matchAll(/<hit>([^\r\n]*)/g)].map((hit) => hit[1]);
    return lines(hits.join("\n"));
  };
}

test("zsh", WHAT, async (setup, file) => {
  await setup.run("zsh", "-n", file);
  const load = `compinit -u -d "$HOME/dump"; source "${file}"`;
  const complete = askZsh(setup, load);
  await assertCompletes(complete);
  assertEquals(await complete("list", "--state=r"), ["running"]);
});

test("zsh", "completes where the command is an alias", async (setup, file) => {
  const load = `compinit -u -d "$HOME/dump"
  alias codex-session='env A=1 "$HOME/bin/codex-session"'
  source "${file}"`;
  assertEquals(await askZsh(setup, load)("stop", "c"), ["calm-fox"]);
});

test(
  "zsh",
  "finds its completions in a folder on fpath",
  async (setup, file) => {
    const folder = join(setup.dir, "functions");
    Deno.mkdirSync(folder);
    Deno.renameSync(file, join(folder, "_codex-session"));
    const load = `fpath=("${folder}" $fpath); compinit -u -d "$HOME/dump"`;
    const complete = askZsh(setup, load);
    assertEquals(await complete("st"), ["stop"]);
    assertEquals(await complete("logs", "c"), ["calm-fox"]);
  },
);
