/**
 * The scripts of docs/notify.md, each run as it is printed, with a hostile message.
 *
 * @module
 */
import { assert, assertEquals, PROJECT, until } from "./helpers.ts";

const PAGE = Deno.readTextFileSync(`${PROJECT}docs/notify.md`);

/** The script under a heading. */
function scriptOf(heading: string): string {
  const part = PAGE.split(`### ${heading}\n`)[1]!;
  return /```sh\n(#![^]*?)```/.exec(part)![1]!;
}

const MESSAGE = `@/etc/passwd "$(touch x)" #(touch x) <!channel> é`;
const EVENT = {
  ...{ at: "2026-11-21T23:23:59.841Z", id: "fix", type: "status" },
  status: { value: "blocked", kind: "question", message: MESSAGE },
};

/** Runs a script as a notifier is run. */
async function run(script: string, env: Record<string, string> = {}) {
  const child = new Deno.Command("sh", {
    args: ["-c", script],
    env: {
      CODEX_SESSION_ID: "fix",
      CODEX_SESSION_EVENT: "blocked",
      CODEX_SESSION_MESSAGE: MESSAGE,
      ...env,
    },
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const writer = child.stdin.getWriter();
  await writer.write(new TextEncoder().encode(JSON.stringify(EVENT) + "\n"))
    .catch(() => {}); // Some read nothing.
  await writer.close().catch(() => {});
  const { success, stderr } = await child.output();
  assert(success, new TextDecoder().decode(stderr));
}

/** Runs a script that sends something to a server here; returns what the server got. */
async function posted(heading: string) {
  let [title, body] = ["", ""];
  const server = Deno.serve({ port: 0, onListen() {} }, async (request) => {
    title = request.headers.get("title") ?? "";
    body = await request.text();
    return new Response("ok");
  });
  const { port } = server.addr;
  const url = /^url=(.*)$/m.exec(scriptOf(heading))![1]!;
  await run(scriptOf(heading).replace(url, `http://127.0.0.1:${port}/x`), {
    no_proxy: "127.0.0.1",
  });
  await server.shutdown();
  return { title, body };
}

/** Defines a test that needs a program. */
function scriptTest(name: string, program: string, fn: () => Promise<void>) {
  const { success } = new Deno.Command("sh", {
    args: ["-c", `command -v ${program}`],
    stdout: "null",
  }).outputSync();
  const why = success ? "" : ` (skipped: there is no ${program})`;
  Deno.test({ name: `docs/notify.md: ${name}${why}`, ignore: !success, fn });
}

scriptTest("the script for ntfy sends the message", "curl", async () => {
  const { title, body } = await posted("ntfy");
  assertEquals([title, body], ["fix: blocked", `${MESSAGE}\n`]);
});

scriptTest("the script for Slack sends the message", "jq", async () => {
  const { body } = await posted("Slack");
  const text = MESSAGE.replace("<!channel>", "&lt;!channel&gt;");
  assertEquals(JSON.parse(body), { text: `fix: blocked ${text}` });
});

Deno.test("docs/notify.md: the script for the desktop shows the message", async () => {
  const dir = Deno.makeTempDirSync();
  try {
    const program = `#!/bin/sh\nprintf '%s\\n' "$@" >${dir}/shown\n`;
    Deno.writeTextFileSync(`${dir}/notify-send`, program, { mode: 0o755 });
    await run(scriptOf("Desktop"), { PATH: `${dir}:/usr/bin:/bin` });
    const words = Deno.readTextFileSync(`${dir}/shown`).trim().split("\n");
    assertEquals(words.slice(1), ["--", "fix: blocked", MESSAGE]);
  } finally {
    Deno.removeSync(dir, { recursive: true });
  }
});

scriptTest(
  "the script for tmux shows the message and rings",
  "tmux",
  async () => {
    const dir = Deno.makeTempDirSync();
    const tmux = async (...args: string[]) => {
      const { stdout } = await new Deno.Command("tmux", {
        args: ["-L", "inner", ...args],
        env: { TMUX_TMPDIR: dir, TMUX: "", TERM: "xterm" },
        stderr: "null",
      }).output();
      return new TextDecoder().decode(stdout);
    };
    // A client of its own, in a window of another server that can be looked at.
    const outer = async (...args: string[]) =>
      await tmux("-L", "outer", ...args);
    try {
      await tmux("-f", "/dev/null", "new-session", "-d", "sleep", "600");
      const [socket, pane] = (await tmux(
        ...["display-message", "-p", "#{socket_path} #{pane_id}"],
      )).trim().split(" ");
      await tmux("new-window", "sleep", "600");
      const client = "env -u TMUX tmux -L inner attach";
      await outer("-f", "/dev/null", "new-session", "-d", "-x", "120", client);
      await until(async () => await tmux("list-clients"));
      await run(scriptOf("tmux"), { TMUX: `${socket},1,0`, TMUX_PANE: pane! });
      const shown = MESSAGE.replace("#", ".");
      await until(async () =>
        (await outer("capture-pane", "-p")).includes(`fix: blocked ${shown}`)
      );
      await until(async () =>
        (await tmux("list-windows", "-F", "#{window_bell_flag}")).startsWith(
          "1",
        )
      );
    } finally {
      await outer("kill-server");
      await tmux("kill-server");
      await until(() => {
        try {
          Deno.removeSync(dir, { recursive: true });
          return true;
        } catch {
          return false; // The servers are just ending.
        }
      });
    }
  },
);
