/**
 * Sessions that would show themselves, tried from inside.
 */
import { createSession } from "../../session/create.ts";
import { encode, Frame, PROTOCOL } from "../../relay/protocol.ts";
import { connectIn } from "../../relay/socket.ts";
import { sendKeys, waitForScreen } from "../../client/terminal.ts";
import { terminalStatusAt } from "../../client/terminal_status.ts";
import { waitForSession } from "../../client/wait.ts";
import { pathsFor } from "../../store.ts";
import {
  assertEquals,
  assertStringIncludes,
  CLI,
  TestRoot,
  until,
} from "../helpers.ts";
import { startTerminal } from "../pty.ts";

const COMMAND = CLI.join(" ");

/** Starts a terminal session with a shell in it. */
async function shell(root: TestRoot, id: string) {
  await createSession({
    root: root.dir,
    id,
    kind: "pty",
    command: ["env", "PS1=> ", "bash", "--norc", "--noprofile"],
    env: { CODEX_SESSION_HOME: root.dir, cs: COMMAND },
  });
  const type = (line: string) =>
    sendKeys(id, [{ text: line }, { key: "enter" }], { root: root.dir });
  const shows = (pattern: RegExp) =>
    waitForScreen(id, pattern, {
      root: root.dir,
      signal: AbortSignal.timeout(10_000),
    });
  await shows(/^> /);
  return { type, shows };
}

Deno.test("attach refuses to show a terminal session on itself, by id, by index and as the only one", async () => {
  await using root = new TestRoot();
  const { type, shows } = await shell(root, "self");
  for (const words of ["attach self", "attach 0", "logs -f self"]) {
    await type(`clear; $cs ${words}; echo status $?`);
    await shows(/inside itself: it would[^]*status 4\n/);
  }
  await type("clear; $cs attach; echo status $?");
  await shows(/only this one, "self"; start one[^]*status 3\n/);
});

Deno.test("attach refuses a session that shows this one, directly or by way of another", async () => {
  await using root = new TestRoot();
  const { dir } = root;
  const [a, b, c] = await Promise.all(
    ["a", "b", "c"].map((id) => shell(root, id)),
  );
  const clients = (id: string) =>
    terminalStatusAt(pathsFor(id, { root: dir }), true)!.clients;
  await a!.type("$cs attach b");
  await until(() => clients("b") === 1);
  await b!.type("$cs attach c"); // Nesting alone is fine.
  await until(() => clients("c") === 1);
  for (const id of ["b", "a"]) {
    await c!.type(`clear; $cs attach ${id}; echo status $?`);
    const loop = `to session "${id}" inside session "c": they`;
    await c!.shows(new RegExp(`${loop}[^]*status 4\n`));
  }
  await a!.shows(/status 4\n/); // By way of b.
  // Once nobody shows it any more, it may show them.
  await sendKeys("a", [{ key: "ctrl-\\" }], { root: dir });
  await until(() => clients("b") === 0);
  await c!.type("clear; $cs attach a");
  await until(() => clients("a") === 1);
});

Deno.test("attach inside a session is refused where the relay can't record it", async () => {
  await using root = new TestRoot();
  const { type, shows } = await shell(root, "a");
  const b = await startTerminal(root.dir, "b", ["sh", "-c", "echo hi; cat"]);
  const isRefused = async (hint: string) => {
    await type(`clear; $cs attach b; echo ${hint} $?`);
    await shows(
      new RegExp(`to session "b" inside session "a": its[^]*^${hint} 4\n`, "m"),
    );
  };
  const conns = await Promise.all(Array.from({ length: 32 }, async (_, i) => {
    const conn = await connectIn(b.dir);
    const size = { columns: 80, rows: 24, readOnly: true };
    await conn.write(encode(Frame.HELLO, { protocol: PROTOCOL }));
    await conn.write(encode(Frame.ATTACH, { ...size, within: `/v${i}` }));
    return conn;
  }));
  await until(() => terminalStatusAt(b, true)?.clients === 32);
  await isRefused("crowded");
  for (const conn of conns) conn.close();
  await until(() => terminalStatusAt(b, true)?.clients === 0);
  // As on a full disk.
  Deno.removeSync(`${b.dir}/terminal.json`);
  Deno.mkdirSync(`${b.dir}/terminal.json`);
  await isRefused("unwritable");
});

Deno.test("attach and logs -f refuse to print the log of a session into itself", async () => {
  await using root = new TestRoot();
  for (
    const words of ["attach self", "logs -f self", "logs -f --stderr self"]
  ) {
    await createSession({
      root: root.dir,
      id: "self",
      command: ["sh", "-c", `echo out; echo err >&2; $cs ${words}; exit 7`],
      env: { CODEX_SESSION_HOME: root.dir, cs: COMMAND },
      timeoutMs: 20_000,
    });
    const { state } = await waitForSession("self", { root: root.dir });
    assertEquals(state, { state: "exited", ending: { code: 7 } });
    const { dir, stderr } = pathsFor("self", { root: root.dir });
    assertStringIncludes(
      Deno.readTextFileSync(stderr),
      "inside itself: it would",
    );
    Deno.removeSync(dir, { recursive: true });
  }
});
