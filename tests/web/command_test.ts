import { folderOf } from "../../web/gate.ts";
import {
  assert,
  assertEquals,
  assertMatch,
  assertRejects,
  PROJECT,
  runCli,
  startCli,
  TestRoot,
  until,
} from "../helpers.ts";

/** A process of the command `web`, and what it prints. */
class Running implements AsyncDisposable {
  readonly child: Deno.ChildProcess;
  stdout = "";
  stderr = "";
  readonly #read: Promise<unknown>;

  constructor(
    { dir }: TestRoot,
    args: readonly string[],
    env: Readonly<Record<string, string>> = {},
    prefix: readonly string[] = [],
  ) {
    this.child = startCli(dir, ["web", ...args], { env, prefix });
    this.child.stdin.close();
    this.#read = Promise.all(
      (["stdout", "stderr"] as const).map(async (name) => {
        const text = this.child[name].pipeThrough(new TextDecoderStream());
        for await (const part of text) this[name] += part;
      }),
    );
  }

  /** What `--json` has printed. */
  // deno-lint-ignore no-explicit-any
  async json(): Promise<any> {
    return JSON.parse(await until(() => /^.*\n/.exec(this.stdout)?.[0]));
  }

  /** Ends it by a signal; its status. */
  async end(signal: Deno.Signal): Promise<number> {
    this.child.kill(signal);
    const { code } = await this.child.status;
    await this.#read;
    return code;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      this.child.kill("SIGKILL");
    } catch {
      // It has ended.
    }
    await this.child.status;
    await this.#read;
  }
}

Deno.test("web prints its URLs and the way by SSH, and Ctrl-C stops it", async () => {
  await using root = new TestRoot();
  const env = { USER: "ada", SSH_CONNECTION: "10.0.0.1 5 10.0.0.2 2222" };
  await using web = new Running(root, ["--port", "0"], env);
  await until(() => /Ctrl-C/.test(web.stdout), "the text");
  const [url, look, ssh] = web.stdout.split("\n");
  const port = /^http:\/\/127\.0\.0\.1:(\d+)\/\?token=[\w-]{43}$/.exec(url!)
    ?.[1];
  assertMatch(look!, new RegExp(`^To look only: http://127.0.0.1:${port}/`));
  assertEquals(
    ssh,
    `From another machine: ssh -N -L ${port}:127.0.0.1:${port} -p 2222 ada@10.0.0.2, then open the same URL there`,
  );
  const page = await fetch(url!, { redirect: "manual" });
  await page.body?.cancel();
  assertEquals(page.status, 303);
  // All of 127.0.0.0/8 is this machine, and it listens on one address of it.
  const other = { hostname: "127.0.0.2", port: Number(port) };
  if (Deno.build.os === "linux") {
    await assertRejects(
      () => Deno.connect(other),
      Deno.errors.ConnectionRefused,
    );
  }
  assertEquals([await web.end("SIGINT"), web.stderr], [0, ""]);
});

Deno.test("web --json prints one line, and SIGTERM stops it, viewers or not", async () => {
  await using root = new TestRoot();
  await using web = new Running(root, ["--port", "0", "--json"]);
  const { url, readOnlyUrl, port, host, token, readOnly, pid } = await web
    .json();
  assertEquals([host, readOnly], ["127.0.0.1", false]);
  assertEquals(url, `http://127.0.0.1:${port}/?token=${token}`);
  assert(readOnlyUrl !== url);
  assertEquals(pid, web.child.pid);
  const headers = {
    cookie: `codex_session=${token}`,
    origin: `http://127.0.0.1:${port}`,
  };
  const viewer = new WebSocket(
    `ws://127.0.0.1:${port}${folderOf(token)}/api/rows`,
    { headers } as unknown as string[],
  );
  await new Promise((wake) => viewer.onmessage = wake);
  const closed = new Promise((wake) => viewer.onclose = wake);
  const start = performance.now();
  assertEquals([await web.end("SIGTERM"), web.stderr], [0, ""]);
  assert(performance.now() - start < 2000, "at once");
  assertEquals(web.stdout.split("\n").length, 2);
  await closed;
});

Deno.test("web --read-only has no token that may change something", async () => {
  await using root = new TestRoot();
  await using web = new Running(root, ["--port", "0", "--json", "--read-only"]);
  const { url, readOnlyUrl, port, token, readOnly } = await web.json();
  assertEquals([readOnly, url], [true, readOnlyUrl]);
  const origin = `http://127.0.0.1:${port}`;
  const response = await fetch(`${origin}${folderOf(token)}/api/start`, {
    method: "POST",
    headers: {
      ...{ origin, "content-type": "application/json" },
      cookie: `codex_session=${token}`,
    },
    body: JSON.stringify({ command: ["true"] }),
  });
  const { error } = await response.json();
  assertEquals([response.status, error.code], [403, "permission"]);
});

Deno.test("web takes a port of its own in each run, or the one that is given", async () => {
  await using root = new TestRoot();
  await using web = new Running(root, ["--json"]);
  await using other = new Running(root, ["--json"]);
  const { port } = await web.json();
  const ports = new Set([port, (await other.json()).port, 7171]);
  assertEquals([ports.size, web.stderr, other.stderr], [3, "", ""]);
  const second = await runCli(root.dir, ["web", "--port", String(port)]);
  assertEquals([second.code, second.stdout], [1, ""]);
  assertMatch(
    second.stderr,
    /^codex-session: Cannot listen on 127\.0\.0\.1:\d+: the port is in use; choose another one with --port\n$/,
  );
});

Deno.test("web says in one line what it can't listen on", async () => {
  await using root = new TestRoot();
  const cases: [string[], number, RegExp][] = [
    [["--port", "70000"], 2, /Invalid port "70000"/],
    [["--port", "x"], 2, /Invalid port "x"/],
    [["--host", "a b"], 2, /Invalid host "a b"/],
    [["--host", "http://x"], 2, /Invalid host/],
    [["--host", "192.0.2.1", "--port", "0"], 1, /doesn't have that address/],
    [["x"], 2, /Unexpected argument "x"/],
  ];
  await Promise.all(cases.map(async ([args, code, message]) => {
    const { code: is, stderr, stdout } = await runCli(root.dir, [
      "web",
      ...args,
    ]);
    assertEquals([is, stdout], [code, ""], args.join(" "));
    assertMatch(stderr, message);
    assert(!/\n\s+at /.test(stderr), stderr);
  }));
});

Deno.test("web --host listens on IPv6, and warns where others can reach it", async () => {
  await using root = new TestRoot();
  await using six = new Running(root, [
    "--port",
    "0",
    "--host",
    "[::1]",
    "--json",
  ]);
  await using all = new Running(root, [
    "--port",
    "0",
    "--host",
    "0.0.0.0",
    "--json",
  ]);
  const { url, host } = await six.json();
  assertEquals(host, "::1");
  const page = await fetch(url, { redirect: "manual" });
  await page.body?.cancel();
  assertEquals([page.status, six.stderr], [303, ""]);
  const open = await all.json();
  assertMatch(open.url, /^http:\/\/127\.0\.0\.1:/);
  assertMatch(
    all.stderr,
    /^codex-session: warning: .* nothing is encrypted.*\n$/,
  );
});

Deno.test("web --open gives a browser the URL, and no list of processes has the token", async () => {
  await using root = new TestRoot();
  const dir = Deno.makeTempDirSync();
  try {
    // The browser: it notes what it is called with, and what it finds there.
    const script = `#!/bin/sh
stat -c %a "$1" "$(dirname "$1")" >>${dir}/seen
printf '%s\\n' "$@" "$(cat "$1")" >>${dir}/seen
`;
    for (const name of ["xdg-open", "open"]) {
      Deno.writeTextFileSync(`${dir}/${name}`, script, { mode: 0o755 });
    }
    const env = { PATH: `${dir}:${Deno.env.get("PATH")}`, TMPDIR: dir };
    await using web = new Running(
      root,
      ["--port", "0", "--json", "--open"],
      env,
    );
    const { url, token } = await web.json();
    const seen = await until(() => {
      try {
        const text = Deno.readTextFileSync(`${dir}/seen`);
        return text.includes("</title>") ? text : "";
      } catch {
        return "";
      }
    }, "the browser");
    const [mode, dirMode, file = "", ...rest] = seen.split("\n");
    assertEquals([mode, dirMode], ["600", "700"]);
    assert(rest.join("\n").includes(`url=${url}"`), seen);
    assert(!file.includes(token));
    const commandLine = Deno.readTextFileSync(`/proc/${web.child.pid}/cmdline`);
    assert(!commandLine.includes(token));
    const page = await fetch(url, { redirect: "manual" });
    await page.body?.cancel();
    await until(() => {
      try {
        Deno.statSync(file);
        return false;
      } catch {
        return true;
      }
    }, "the file removed");
    assertEquals(web.stderr, "");
  } finally {
    Deno.removeSync(dir, { recursive: true });
  }
});

Deno.test("web --open goes on without a browser", async () => {
  await using root = new TestRoot();
  const env = { PATH: root.dir };
  await using web = new Running(root, ["--port", "0", "--json", "--open"], env);
  const { url } = await web.json();
  await until(() => /no browser opened: .*\n$/.test(web.stderr), "the warning");
  const page = await fetch(url, { redirect: "manual" });
  await page.body?.cancel();
  assertEquals(page.status, 303);
});

Deno.test("web may be killed at any time: the sessions don't notice", async () => {
  await using root = new TestRoot();
  await using web = new Running(root, ["--port", "0", "--json"]);
  const { port, token } = await web.json();
  const origin = `http://127.0.0.1:${port}`;
  const response = await fetch(`${origin}${folderOf(token)}/api/start`, {
    method: "POST",
    headers: {
      ...{ origin, "content-type": "application/json" },
      cookie: `codex_session=${token}`,
    },
    body: JSON.stringify({ id: "a", command: ["sleep", "600"] }),
  });
  assertEquals(response.status, 200);
  await response.body?.cancel();
  await web.end("SIGKILL");
  const { stdout } = await runCli(root.dir, [
    "list",
    "-q",
    "--state",
    "running",
  ]);
  assertEquals(stdout, "a\n");
});

Deno.test("web listens again after too many connections, with the same token", async () => {
  await using root = new TestRoot();
  const few = ["sh", "-c", 'ulimit -n 100; exec "$@"', "sh"];
  await using web = new Running(root, ["--port", "0", "--json"], {}, few);
  const { port, url } = await web.json();
  const connections: Deno.Conn[] = [];
  try {
    while (
      !/Too many open files/.test(web.stderr) && connections.length < 300
    ) {
      connections.push(await Deno.connect({ hostname: "127.0.0.1", port }));
      await new Promise((wake) => setTimeout(wake));
    }
  } catch {
    // It listens no longer.
  }
  for (const connection of connections) connection.close();
  await until(async () => {
    try {
      const response = await fetch(url, { redirect: "manual" });
      await response.body?.cancel();
      return response.status === 303;
    } catch {
      return false;
    }
  }, "the page");
  assertMatch(
    web.stderr,
    /^codex-session: warning: .*Too many open files.*\n$/,
  );
});

Deno.test("web starts with the permissions that docs/permissions.md names", async () => {
  await using root = new TestRoot();
  const child = new Deno.Command(Deno.execPath(), {
    args: [
      ...["run", "--no-prompt", "--no-check", "--allow-env"],
      ...["--allow-sys=uid", `--allow-read=${root.dir}`],
      ...["--allow-net=127.0.0.1", `${PROJECT}cli.ts`],
      ...["web", "--port", "0", "--json"],
    ],
    env: { CODEX_SESSION_HOME: root.dir },
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const out = child.stdout.getReader();
  const { value } = await out.read();
  const { port, token } = JSON.parse(new TextDecoder().decode(value));
  const origin = `http://127.0.0.1:${port}`;
  const headers = { origin, cookie: `codex_session=${token}` };
  const list = new WebSocket(
    `ws://127.0.0.1:${port}${folderOf(token)}/api/rows`,
    { headers } as unknown as string[],
  );
  const messages: string[] = [];
  list.onmessage = ({ data }) => messages.push(data);
  await until(() => messages.length === 2, "the list");
  const response = await fetch(`${origin}${folderOf(token)}/api/start`, {
    method: "POST",
    headers: { ...headers, "content-type": "application/json" },
    body: JSON.stringify({ command: ["true"] }),
  });
  const { error } = await response.json();
  assertEquals([response.status, error.code], [403, "permission"]);
  const closed = new Promise((wake) => list.onclose = wake);
  child.kill("SIGTERM");
  assertEquals((await child.status).code, 0);
  assertEquals(await new Response(child.stderr).text(), "");
  await out.cancel();
  await closed;
});
