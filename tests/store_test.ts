import { createSession } from "../session/create.ts";
import { SessionError } from "../errors.ts";
import { sendInput } from "../client/input.ts";
import { mkfifo } from "../system/libc.ts";
import { followLog, readLog } from "../client/logs.ts";
import { pruneSessions } from "../session/prune.ts";
import { spawnExec } from "../spawn.ts";
import {
  defaultRoot,
  exitStatus,
  makeBuildDirectory,
  openRoot,
  parseEnding,
  parseMeta,
  pathsFor,
  readPids,
  readState,
  readStopRequest,
} from "../store.ts";
import { exists, writeAtomic } from "../system/files.ts";
import { signalName, signalNumber } from "../system/signals.ts";
import { getSession, listSessions, resolveSelector } from "../session/find.ts";
import { deleteSession, stopSession } from "../session/stop.ts";
import { readScreen, sendKeys } from "../client/terminal.ts";
import { waitFor, waitForSession } from "../client/wait.ts";
import {
  assert,
  assertEquals,
  assertMatch,
  assertRejects,
  assertStringIncludes,
  assertThrows,
  PROJECT,
  runCli,
  TestRoot,
  until,
} from "./helpers.ts";

/** The text of `meta.json` of a session with the id x, or another one. */
function textOf(more: Record<string, unknown>): string {
  return JSON.stringify({
    format: 1,
    id: "x",
    kind: "exec",
    argv: ["true"],
    cwd: "/",
    env: [],
    labels: {},
    prompt: "true",
    createdAt: "2026-01-01T00:00:00.000Z",
    ...more,
  });
}

/** A directory as an ended session leaves it. */
function makeSession(
  root: string,
  id: string,
  more: Record<string, unknown> = {},
) {
  const paths = pathsFor(id, { root });
  Deno.mkdirSync(paths.dir, { recursive: true });
  Deno.writeTextFileSync(paths.meta, textOf({ id, ...more }));
  Deno.writeTextFileSync(paths.lock, "");
  Deno.writeTextFileSync(paths.pid, "4194304 4194305\n");
  Deno.writeTextFileSync(paths.exit, "code 0\n");
  return paths;
}

Deno.test("pathsFor() keeps every path inside the root", () => {
  assertEquals(pathsFor("a-b_9", { root: "/r" }).stdin, "/r/a-b_9/stdin.pipe");
  for (
    const id of [
      "",
      ".",
      "..",
      "../x",
      "a/b",
      "a\0b",
      "-rf",
      "é",
      "a b",
      "a\n",
      "x".repeat(65),
    ]
  ) {
    assertThrows(
      () => pathsFor(id, { root: "/r" }),
      TypeError,
      "Invalid session id",
    );
  }
  assertEquals(pathsFor("x".repeat(64), { root: "/r" }).id.length, 64);
});

Deno.test("openRoot() is the same directory however its path is written", async () => {
  await using root = new TestRoot();
  const real = Deno.realPathSync(root.dir);
  Deno.mkdirSync(`${real}/h`, { mode: 0o700 });
  Deno.symlinkSync("h", `${real}/link`);
  Deno.symlinkSync(`${real}/link`, `${real}/again`);
  const cwd = Deno.cwd();
  Deno.chdir(real);
  try {
    for (
      const path of [
        ...["h", "./h", "h/", "h/../h//", "link", "./again/"],
        ...[`${real}/h/`, `${real}/./h`, `${real}//link`],
      ]
    ) assertEquals(openRoot({ root: path }), `${real}/h`, path);
    assertEquals(openRoot({ root: "link/not/yet" }), `${real}/h/not/yet`);
  } finally {
    Deno.chdir(cwd);
  }
});

Deno.test("openRoot() takes a root that another process makes at that moment", () => {
  using dir = new TestRoot();
  const root = `${dir.dir}/new`;
  const { realPathSync } = Deno;
  Deno.realPathSync = (path) => {
    Deno.realPathSync = realPathSync;
    const missing = () => realPathSync(path);
    assertThrows(missing, Deno.errors.NotFound);
    Deno.mkdirSync(root, { mode: 0o700 });
    throw new Deno.errors.NotFound();
  };
  try {
    assertEquals(openRoot({ root }), root);
  } finally {
    Deno.realPathSync = realPathSync;
  }
});

Deno.test("openRoot() refuses what is no directory, open to others, or two lines", async () => {
  await using root = new TestRoot();
  const refuse = (name: string, why: string) => {
    const open = () => openRoot({ root: `${root.dir}/${name}` });
    const error = assertThrows(open, SessionError, why);
    assertEquals(error.code, "root_unusable");
  };
  Deno.writeTextFileSync(`${root.dir}/file`, "");
  refuse("file", "it is not a directory");
  Deno.mkdirSync(`${root.dir}/shared`);
  Deno.chmodSync(`${root.dir}/shared`, 0o770);
  refuse("shared", "chmod go-w");
  Deno.symlinkSync("nowhere", `${root.dir}/dangling`);
  refuse("dangling", "No such file");
  refuse("two\nlines", "line break");
  Deno.mkdirSync(`${root.dir}/open/mine`, { recursive: true });
  Deno.chmodSync(`${root.dir}/open`, 0o777);
  refuse("open/mine", "everybody may write");
  refuse("open/none/yet", "everybody may write");
});

Deno.test("pathsFor() refuses a link in the place of a session's directory", async () => {
  await using root = new TestRoot();
  Deno.mkdirSync(`${root.dir}/elsewhere`);
  Deno.symlinkSync("elsewhere", `${root.dir}/a`);
  const error = assertThrows(
    () => pathsFor("a", { root: root.dir }),
    SessionError,
    "its directory is a link",
  );
  assertEquals(error.code, "damaged");
});

/** Makes a file or link belong to a user who is neither root nor we. */
function giveAway(path: string): void {
  const chown = { args: ["-h", "65534:65534", path] };
  assert(new Deno.Command("chown", chown).outputSync().success);
}

Deno.test({
  name: "every function refuses the root, and the link to it, of another user",
  ignore: Deno.build.os === "windows" || Deno.uid() !== 0,
  async fn() {
    await using base = new TestRoot();
    const theirs = `${base.dir}/theirs`;
    const ours = `${base.dir}/ours`;
    for (const root of [theirs, ours]) {
      Deno.mkdirSync(root, { mode: 0o700 });
      makeSession(root, "a");
    }
    giveAway(theirs);
    Deno.symlinkSync(ours, `${base.dir}/link`);
    giveAway(`${base.dir}/link`);
    // The link that is theirs is a step on the way, and not the last one.
    Deno.symlinkSync("link", `${base.dir}/first`);
    // What is theirs is a directory above it.
    Deno.mkdirSync(`${base.dir}/above/ours`, { recursive: true, mode: 0o700 });
    makeSession(`${base.dir}/above/ours`, "a");
    giveAway(`${base.dir}/above`);
    const roots = ["theirs", "link", "first", "above/ours"]
      .map((it) => `${base.dir}/${it}`);
    for (const root of roots) {
      const calls: readonly (() => unknown)[] = [
        () => createSession({ command: ["true"], root }),
        () => listSessions({ root }),
        () => getSession("a", { root }),
        () => resolveSelector("0", { root }),
        () => stopSession("a", { root }),
        () => deleteSession("a", { root }),
        () => pruneSessions({ root }),
        () => sendInput("a", "text", { root }),
        () => sendKeys("a", [{ key: "enter" }], { root }),
        () => readScreen("a", { root }),
        () => waitForSession("a", { root }),
        () => waitFor("a", { for: "idle", idleMs: 1 }, { root }),
        () => readLog("a", { root }),
        () => followLog("a", { root }),
      ];
      for (const call of calls) {
        const error = await assertRejects(
          async () => await call(),
          SessionError,
          "belongs to user 65534, you are user 0",
        );
        assertEquals(error.code, "root_unusable");
      }
      const listed = await runCli(root, ["list"]);
      assertEquals([listed.code, listed.stdout], [1, ""]);
      assertMatch(listed.stderr, /^codex-session: .* belongs to user .*\n$/);
      const doctor = await runCli(root, ["doctor"]);
      assertEquals(doctor.code, 1);
      assertMatch(doctor.stdout, /^error +state directory .*belongs to user/m);
    }
  },
});

Deno.test("makeBuildDirectory() makes what is missing for us alone, whatever the umask", async () => {
  await using root = new TestRoot();
  const modes = (...paths: string[]) =>
    paths.map((path) => Deno.statSync(path).mode! & 0o777);
  const before = Deno.umask();
  try {
    for (const mask of [0, 0o022, 0o177, 0o777]) {
      Deno.umask(mask);
      const parent = `${root.dir}/${mask}`;
      const dir = makeBuildDirectory(`${parent}/h`);
      assertEquals(
        modes(parent, `${parent}/h`, dir),
        [0o700, 0o700, 0o700],
        `umask ${mask}`,
      );
    }
  } finally {
    Deno.umask(before);
  }
});

Deno.test("defaultRoot() follows CODEX_SESSION_HOME, XDG_STATE_HOME, HOME", () => {
  const names = ["CODEX_SESSION_HOME", "XDG_STATE_HOME", "HOME"];
  const saved = names.map((name) => [name, Deno.env.get(name)] as const);
  try {
    for (const name of names) Deno.env.delete(name);
    const error = assertThrows(
      () => defaultRoot(),
      SessionError,
      "HOME is not set",
    );
    assertEquals(error.code, "root_unusable");
    Deno.env.set("HOME", "/home/x");
    assertEquals(defaultRoot(), "/home/x/.local/state/codex-session");
    Deno.env.set("XDG_STATE_HOME", "relative/is/ignored");
    assertEquals(defaultRoot(), "/home/x/.local/state/codex-session");
    Deno.env.set("XDG_STATE_HOME", "/state");
    assertEquals(defaultRoot(), "/state/codex-session");
    Deno.env.set("CODEX_SESSION_HOME", "/own");
    assertEquals(defaultRoot(), "/own");
  } finally {
    for (const [name, value] of saved) {
      if (value === undefined) Deno.env.delete(name);
      else Deno.env.set(name, value);
    }
  }
});

Deno.test("parseEnding() accepts whole records only", () => {
  assertEquals(parseEnding("code 3\n"), { code: 3 });
  assertEquals(parseEnding("signal 15\n"), { signal: "SIGTERM" });
  for (
    const text of [
      "",
      "code 3",
      "code\n",
      "code -1\n",
      "sig 9\n",
      "code 3x\n",
      "\ncode 0\n",
    ]
  ) {
    assertEquals(parseEnding(text), undefined);
  }
});

Deno.test("signalNumber() takes names and numbers as people write them", () => {
  for (const text of ["TERM", "SIGTERM", "term", "15"]) {
    assertEquals(signalNumber(text), 15);
  }
  for (const text of ["", "0", "65", "-9", "NOPE", "SIG"]) {
    assertThrows(() => signalNumber(text), TypeError, "Unknown signal");
  }
  assertEquals(signalName(9), "SIGKILL");
  assertEquals(exitStatus({ signal: "SIGKILL" }), 137);
  assertEquals(exitStatus({ code: 137 }), 137);
  assertEquals(exitStatus({ state: "exited", ending: { code: 3 } }), 3);
  assertEquals(exitStatus({ state: "deleted" }), undefined);
});

Deno.test("parseMeta() names what is wrong, and refuses a newer format", () => {
  const cases: [string, string][] = [
    ["", "not JSON"],
    ["{", "not JSON"],
    ["[]", "no format"],
    ["null", "not an object"],
    ['{"format":2,"id":"x"}', "newer codex-session"],
    ['{"format":1,"id":"y"}', "no valid id"],
    ['{"format":1,"id":"x","kind":"daemon"}', "no valid kind"],
    [textOf({ labels: { parent: 1 } }), "no valid labels"],
    [textOf({ ancestors: "a" }), "no valid ancestors"],
    [textOf({ ancestors: ["a", 1] }), "no valid ancestors"],
  ];
  for (const [text, words] of cases) {
    const error = assertThrows(() => parseMeta(text, "x"), SessionError, words);
    assertEquals(error.code, "damaged");
  }
});

Deno.test("listSessions() sorts, filters, and shows damage while the rest works", async () => {
  await using root = new TestRoot();
  makeSession(root.dir, "old", {
    createdAt: "2026-01-01T00:00:00Z",
    labels: { a: "1" },
  });
  makeSession(root.dir, "new", {
    createdAt: "2026-01-03T00:00:00Z",
    labels: { a: "1", b: "2" },
  });
  makeSession(root.dir, "future", { format: 1.5, more: { unknown: true } });
  const truncated = makeSession(root.dir, "truncated");
  Deno.truncateSync(truncated.meta, 20);
  makeSession(root.dir, "newer", { format: 2 });
  Deno.removeSync(makeSession(root.dir, "headless").meta);
  Deno.mkdirSync(`${root.dir}/foreign`);
  Deno.writeTextFileSync(`${root.dir}/foreign/file`, "");
  Deno.mkdirSync(`${root.dir}/not an id`);
  Deno.writeTextFileSync(`${root.dir}/file`, "");
  Deno.mkdirSync(`${root.dir}/.new-1-x`);
  Deno.symlinkSync(truncated.dir, `${root.dir}/link`);

  const sessions = await listSessions({ root: root.dir });
  const states = Object.fromEntries(
    sessions.map(({ id, state }) => [id, state.state]),
  );
  assertEquals(states, {
    new: "exited",
    old: "exited",
    future: "exited",
    truncated: "damaged",
    newer: "damaged",
    headless: "damaged",
  });
  const healthy = sessions.filter(({ meta }) => meta !== null).map(({ id }) =>
    id
  );
  assertEquals(healthy, ["new", "future", "old"]);
  const labelled = await listSessions({
    root: root.dir,
    labels: { a: "1", b: "2" },
  });
  assertEquals(labelled.map(({ id }) => id), ["new"]);
  const damaged = await listSessions({ root: root.dir, state: "damaged" });
  assertEquals(damaged.length, 3);
});

Deno.test("listSessions() gives nothing for a root that does not exist", async () => {
  assertEquals(await listSessions({ root: "/nonexistent/root" }), []);
});

Deno.test("resolveSelector() takes an id, then an index, then a unique prefix", async () => {
  await using root = new TestRoot();
  const options = { root: root.dir };
  makeSession(root.dir, "alpha", { createdAt: "2026-01-01T00:00:00Z" });
  makeSession(root.dir, "alpine", { createdAt: "2026-01-02T00:00:00Z" });
  makeSession(root.dir, "7", { createdAt: "2026-01-03T00:00:00Z" });
  makeSession(root.dir, "99x", { createdAt: "2026-01-04T00:00:00Z" });
  const idOf = async (selector: string) =>
    (await resolveSelector(selector, options)).id;
  assertEquals(await idOf("alpha"), "alpha");
  assertEquals(await idOf("alphx".slice(0, 4)), "alpha");
  assertEquals(await idOf("0"), "99x");
  assertEquals(await idOf("3"), "alpha");
  assertEquals(await idOf("7"), "7");
  assertEquals(await idOf("99"), "99x");
  assertEquals(await idOf("=alpha"), "alpha");
  const ambiguous = await assertRejects(
    () => idOf("al"),
    SessionError,
    "Ambiguous",
  );
  assertEquals([ambiguous.code, ambiguous.candidates], ["ambiguous", [
    "alpine",
    "alpha",
  ]]);
  for (
    const selector of ["nobody", "8", "..", "", "-x", "a/b", "=alph", "=0", "="]
  ) {
    const error = await assertRejects(
      () => idOf(selector),
      SessionError,
      "No such session",
    );
    assertEquals(error.code, "not_found");
  }
  await assertRejects(
    () => getSession("alp", options),
    SessionError,
    "No such session",
  );
});

Deno.test("readState() follows a session from running to exited, and sees it lost", async () => {
  await using root = new TestRoot();
  const paths = pathsFor("s", { root: root.dir });
  const pids = await spawnExec(paths, ["600"], { program: "sleep" });
  assertEquals(readState(paths), { state: "running", pids });
  Deno.kill(pids.agent, "SIGTERM");
  await until(() => readState(paths).state === "exited");
  assertEquals(readState(paths), {
    state: "exited",
    ending: { signal: "SIGTERM" },
  });

  const other = pathsFor("t", { root: root.dir });
  const killed = await spawnExec(other, ["600"], { program: "sleep" });
  Deno.kill(killed.reaper, "SIGKILL");
  // The agent holds the lock, too: as long as it lives, the session is not lost.
  await until(() => !root.strays().includes(killed.reaper));
  assertEquals(readState(other).state, "running");
  Deno.kill(killed.agent, "SIGKILL");
  await until(() => readState(other).state !== "running");
  assertEquals(readState(other), { state: "lost", pids: killed });
  // A record without its end of line was cut off: it says nothing.
  Deno.writeTextFileSync(other.exit, "code 0");
  assertEquals(readState(other).state, "lost");
  Deno.removeSync(other.stdout);
  const session = await getSession("t", { root: root.dir });
  assertEquals(session.sizes.stdout, 0);
  assertStringIncludes(session.meta?.prompt ?? "", "sleep");
});

Deno.test("listSessions() takes no link and no pipe for a session's file", async () => {
  using root = new TestRoot();
  const outside = `${root.dir}/outside`;
  Deno.writeTextFileSync(outside, "code 0\n");
  for (const file of ["meta", "pid", "exit", "lock", "stdout"] as const) {
    for (const how of ["pipe", "link", "loop"]) {
      const paths = makeSession(root.dir, `${file}-${how}`);
      if (exists(paths[file])) Deno.removeSync(paths[file]);
      if (how === "pipe") mkfifo(paths[file]);
      else {Deno.symlinkSync(
          how === "link" ? outside : paths[file],
          paths[file],
        );}
    }
  }
  const states = Object.fromEntries(
    (await listSessions({ root: root.dir }))
      .map(({ id, state }) => [id, state.state]),
  );
  for (const how of ["pipe", "link", "loop"]) {
    assertEquals(states[`meta-${how}`], "damaged");
    assertEquals(states[`exit-${how}`], "lost");
    assertEquals(states[`lock-${how}`], "exited");
    assertEquals(states[`stdout-${how}`], "exited");
  }
});

Deno.test("writeAtomic() follows no link in the place of its temporary file", () => {
  using root = new TestRoot();
  const outside = `${root.dir}/outside`;
  Deno.writeTextFileSync(outside, "precious");
  const path = `${root.dir}/stop.json`;
  const { random } = Math;
  Math.random = () => 0.5;
  try {
    Deno.symlinkSync(outside, `${path}.${Deno.pid}.itmp`);
    assertThrows(() => writeAtomic(path, "{}"), Deno.errors.AlreadyExists);
  } finally {
    Math.random = random;
  }
  writeAtomic(path, "{}");
  assertEquals(Deno.readTextFileSync(path), "{}");
  assertEquals(Deno.readTextFileSync(outside), "precious");
});

Deno.test("getSession() calls a session damaged whose meta.json has more than 1 MiB", async () => {
  using root = new TestRoot();
  const { meta } = makeSession(root.dir, "large", { prompt: "x".repeat(9e5) });
  const state = async () =>
    (await getSession("large", { root: root.dir })).state;
  assertEquals((await state()).state, "exited");
  makeSession(root.dir, "large", { prompt: "x".repeat(2 ** 20) });
  const reason = "meta.json is larger than 1 MiB";
  assertEquals(await state(), { state: "damaged", reason });
  Deno.truncateSync(meta, 2 ** 40); // Nobody reads that to its end.
  assertEquals(await state(), { state: "damaged", reason });
});

Deno.test("getSession() and listSessions() call no session damaged when too many files are open", async () => {
  using root = new TestRoot();
  makeSession(root.dir, "whole");
  const program = `${root.dir}/program.ts`;
  Deno.writeTextFileSync(
    program,
    `import { getSession, listSessions } from "${PROJECT}mod.ts";
    const options = { root: Deno.args[0] };
    await getSession("whole", options);
    try { for (;;) Deno.openSync("/dev/null"); } catch { /* No more. */ }
    for (const look of [getSession("whole", options), listSessions(options)]) {
      console.log(await look.catch((error) => error.message));
    }`,
  );
  const { stdout } = await new Deno.Command("sh", {
    args: [
      ...["-c", 'ulimit -n 64; exec "$@"', "sh", Deno.execPath(), "run"],
      ...["-A", "--no-check", program, root.dir],
    ],
    stderr: "inherit",
  }).output();
  const lines = new TextDecoder().decode(stdout).trim().split("\n");
  assertEquals(lines.length, 2, lines.join("\n"));
  for (const line of lines) assertStringIncludes(line, "oo many open files");
});

Deno.test({
  name: "listSessions() copes with a time that no date can tell",
  // Where a file may have one: not on ext4.
  ignore: !exists("/dev/shm"),
  async fn() {
    const root = Deno.makeTempDirSync({ dir: "/dev/shm" });
    try {
      const { stdout } = makeSession(root, "odd");
      Deno.writeTextFileSync(stdout, "x");
      for (const seconds of [99_999_999_999_999, -99_999_999_999_999]) {
        Deno.utimeSync(stdout, 0, seconds);
        const [session] = await listSessions({ root });
        assertEquals(session?.lastOutputAt, null);
      }
    } finally {
      Deno.removeSync(root, { recursive: true });
    }
  },
});

Deno.test("records that can't be are none", () => {
  using root = new TestRoot();
  const paths = makeSession(root.dir, "forged");
  assertEquals(parseEnding("signal 999\n"), undefined);
  assertEquals(parseEnding("code 256\n"), undefined);
  for (const text of ["-1 5\n", "1e3 5\n", "0 0\n", "1 2", "99999999999 1\n"]) {
    Deno.writeTextFileSync(paths.pid, text);
    assertEquals(readPids(paths), undefined, text);
  }
  for (const text of ["1", "[]", '"x"', '{"by":1}', "{"]) {
    Deno.writeTextFileSync(paths.stop, text);
    assertEquals(readStopRequest(paths), undefined, text);
  }
});
