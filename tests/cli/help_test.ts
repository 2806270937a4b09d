/**
 * The help: its form, and its examples, run as a reader would.
 *
 * @module
 */
import { commandHelp, mainHelp } from "../../cli/help.ts";
import { COMMANDS, GROUPS } from "../../cli/usage.ts";
import { appendEvent } from "../../events/journal.ts";
import { createSession } from "../../session/create.ts";
import { type Paths, pathsFor } from "../../store.ts";
import { waitForSession } from "../../client/wait.ts";
import { join } from "../../std.ts";
import { assert, assertEquals, PROJECT, TestRoot } from "../helpers.ts";

Deno.test("the help fits 80 columns, and names each command and option once", () => {
  const texts = [mainHelp(), ...COMMANDS.map(commandHelp)];
  const long = texts.join("").split("\n").filter((line) => line.length > 80);
  assertEquals(long, []);
  assertEquals(
    GROUPS.flatMap(([, names]) => names).toSorted(),
    COMMANDS.map(({ name }) => name).toSorted(),
  );
  for (const command of COMMANDS) {
    const text = commandHelp(command);
    for (const { name } of command.options) {
      const rows = text.match(new RegExp(`^ {2}(-., | {4})--${name} `, "gm"));
      assertEquals(rows?.length, 1, `${command.name} --${name}`);
    }
  }
});

/** The command lines of the examples, as the help prints them. */
const EXAMPLES = COMMANDS.flatMap((command) =>
  commandHelp(command).split("Examples:\n")[1]!.split("\n")
    .map((line) => line.trim())
    .filter((line) => line !== "" && !line.startsWith("# "))
);

/** The shell that an example is for; zsh is the strictest about words. */
function shellFor(line: string): string {
  const named = /completions (\w+)/.exec(line)?.[1];
  return named ?? "zsh";
}

function isInstalled(program: string): boolean {
  try {
    const options = { args: ["--version"], stdout: "null", stderr: "null" };
    return new Deno.Command(program, options as Deno.CommandOptions)
      .outputSync().success;
  } catch {
    return false;
  }
}

/** What the examples talk about: sessions, agents, files. */
class Scene implements AsyncDisposable {
  readonly root = new TestRoot();
  readonly dir = Deno.makeTempDirSync({ prefix: "codex-session-help-" });

  constructor() {
    const bin = join(this.dir, "bin");
    Deno.mkdirSync(bin);
    const program = (name: string, script: string) =>
      Deno.writeTextFileSync(join(bin, name), `#!/bin/sh\n${script}\n`, {
        mode: 0o755,
      });
    program(
      "codex-session",
      `exec "${Deno.execPath()}" run --quiet -A "${PROJECT}cli.ts" "$@"`,
    );
    for (
      const name of [
        "codex",
        "codex-exec",
        "codex-repl",
        "vim",
        "make",
        "git",
        "less",
        "open",
        "xdg-open",
      ]
    ) {
      program(name, "sleep 0.2");
    }
    program("claude", "echo done; echo an error >&2");
    Deno.writeTextFileSync(join(this.dir, "notes.txt"), "a note\n");
    Deno.mkdirSync(join(this.dir, ".codex"));
  }

  /** Starts the sessions that the examples name. Those that are only looked at have ended. */
  async start(ends: boolean): Promise<void> {
    const { dir: root } = this.root;
    // The last one is the newest: its number is 0.
    for (const id of ["ed", "a", "b", "c", "hello", "fix"]) {
      const script = ends ? "echo done; echo an error >&2" : "cat";
      const claude = join(this.dir, "bin", "claude");
      const isAgent = ends && id === "fix";
      const kind = isAgent ? "exec" : id === "ed" ? "pty" : "repl";
      const command = isAgent
        ? [claude, "--session-id", this.#conversation(), "-p", "fix it"]
        : ["sh", "-c", script];
      const env = { CLAUDE_CONFIG_DIR: `${this.dir}/.claude` };
      await createSession({ root, id, kind, command, env });
      if (ends) await waitForSession(id, { root });
    }
  }

  paths(id: string): Paths {
    return pathsFor(id, { root: this.root.dir });
  }

  /** Tells again and again how the turns of the agents have ended, as long as a line waits for that. */
  async runTold(line: string): Promise<[number, string]> {
    const value = line.includes("turn") ? "done" : "error";
    const status = { value, source: "report" } as const;
    const timer = setInterval(() => {
      for (const id of ["fix", "a", "b", "c"]) {
        appendEvent(this.paths(id), { type: "status", status });
      }
    }, 50);
    try {
      return await this.run(line);
    } finally {
      clearInterval(timer);
    }
  }

  /** Makes an agent's record of a conversation. */
  #conversation(): string {
    const id = crypto.randomUUID();
    const folder = `${this.dir}/.claude/projects/folder`;
    Deno.mkdirSync(folder, { recursive: true });
    Deno.writeTextFileSync(`${folder}/${id}.jsonl`, "");
    return id;
  }

  async run(line: string): Promise<[number, string]> {
    const shell = shellFor(line);
    const setUp = line.includes("completions zsh")
      ? "autoload -Uz compinit; compinit -u; "
      : "";
    const words = [shell, "-c", setUp + line];
    // attach and -a want a terminal.
    const onTerminal = / -a |attach/.test(line)
      ? [
        "script",
        "-qec",
        words.map((word) => `'${word.replaceAll("'", "'\\''")}'`).join(" "),
        "/dev/null",
      ]
      : words;
    const [program = "", ...args] = ["timeout", "20", ...onTerminal];
    const { code, stdout, stderr } = await new Deno.Command(program, {
      args,
      cwd: this.dir,
      env: {
        PATH: `${this.dir}/bin:${Deno.env.get("PATH")}`,
        HOME: this.dir,
        CODEX_SESSION_HOME: this.root.dir,
        TERM: "xterm",
        // Only a program of a session reports.
        ...line.includes(" report ") &&
          {
            CODEX_SESSION_ID: "hello",
            CODEX_SESSION_DIR: this.paths("hello").dir,
          },
      },
    }).output();
    const decoder = new TextDecoder();
    return [code, decoder.decode(stdout) + decoder.decode(stderr)];
  }

  /** Runs a server until it says where it is, on a port that is free. */
  async serve(line: string): Promise<[number, string]> {
    const free = line.replace(/ --port \d+|$/, " --port 0");
    const child = new Deno.Command("sh", {
      args: ["-c", `exec ${free}`],
      env: {
        PATH: `${this.dir}/bin:${Deno.env.get("PATH")}`,
        HOME: this.dir,
        CODEX_SESSION_HOME: this.root.dir,
      },
      stdin: "null",
      stdout: "piped",
    }).spawn();
    let output = "";
    for await (
      const part of child.stdout.pipeThrough(new TextDecoderStream())
    ) {
      output += part;
      if (output.includes("Ctrl-C")) child.kill("SIGTERM");
    }
    return [(await child.status).code, output];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.root[Symbol.asyncDispose]();
    Deno.removeSync(this.dir, { recursive: true });
  }
}

const absent = ["zsh", "bash", "fish", "jq", "script"]
  .filter((program) => !isInstalled(program));

Deno.test({
  name: `the examples of the help run as they are printed${
    absent.length === 0 ? "" : ` (skipped: no ${absent.join(", ")})`
  }`,
  ignore: absent.length > 0,
  async fn() {
    assert(EXAMPLES.length > 30);
    const failed: unknown[] = [];
    await using none = new Scene();
    await using ended = new Scene();
    await using live = new Scene();
    await Promise.all([ended.start(true), live.start(false)]);
    const sceneOf = (line: string) =>
      / (run|create) /.test(line)
        ? none
        : / (send|stop|rm -f|report) | --for /.test(line)
        ? live
        : ended;
    const play = async (scene: Scene) => {
      for (const line of EXAMPLES) {
        // doctor tells of the machine, not of its example; attach alone may ask; web serves on.
        if (sceneOf(line) !== scene) continue;
        if (/ (doctor|web)\b|attach$/.test(line)) continue;
        const [code, output] = / --for (turn|status)/.test(line)
          ? await scene.runTold(line)
          : / web( |$)/.test(line)
          ? await scene.serve(line)
          : await scene.run(line.replace(/idle=\d+s/, "idle=50ms"));
        if (code !== 0) failed.push([line, code, output]);
      }
    };
    await Promise.all([none, ended, live].map(play));
    assertEquals(failed, []);
  },
});
