/**
 * `report`, from inside of sessions and from outside.
 *
 * @module
 */
import { readReport, writeReport } from "../../events/report_file.ts";
import { readStatus } from "../../mod.ts";
import { createSession } from "../../session/create.ts";
import { type Paths, pathsFor } from "../../store.ts";
import { openFile } from "../../system/files.ts";
import { waitForSession } from "../../client/wait.ts";
import {
  assert,
  assertEquals,
  assertStringIncludes,
  CLI,
  runCli,
  startCli,
  TestRoot,
  until,
} from "../helpers.ts";
import { test } from "../process_helpers.ts";

/** Runs `report` with the variables that a program of the session has. */
function reportIn({ id, dir }: Paths, ...args: string[]) {
  const env = { CODEX_SESSION_ID: id, CODEX_SESSION_DIR: dir };
  return runCli("/nowhere", ["report", ...args], { env });
}

/** Where a link leads; `undefined` if it is gone. */
function linkAt(path: string): string | undefined {
  try {
    return Deno.readLinkSync(path);
  } catch {
    return undefined;
  }
}

/** The statuses in a session's journal. */
function toldIn({ events }: Paths): unknown[] {
  return Deno.readTextFileSync(events).split("\n").filter(Boolean)
    .map((line) => JSON.parse(line).status);
}

test("reportStatus() tells what the session does, and an event if that is new", async (root) => {
  const at = { root: root.dir };
  const { id, paths } = await createSession({ ...at, command: ["sleep", "9"] });
  const ok = { code: 0, stdout: "", stderr: "" };
  const blocked = ["blocked", "--kind", "question", "-m", "which\nbranch?"];
  assertEquals(await reportIn(paths, ...blocked), ok);
  const first = readStatus(id, at)!;
  assertEquals([first.value, first.kind, first.message, first.source], [
    ...["blocked", "question", "which branch?", "report"],
  ]);
  // The same again, and with another message.
  assertEquals(await reportIn(paths, ...blocked), ok);
  assertEquals(await reportIn(paths, ...blocked.slice(0, 3), "-m", "hm"), ok);
  assertEquals(readStatus(id, at)!.since, first.since);
  const { stdout } = await reportIn(
    paths,
    "working",
    "--progress=40%",
    "--json",
  );
  const status = { value: "working", progress: 40, source: "report" };
  assertEquals(JSON.parse(stdout), { id, status });
  assertEquals(await reportIn(paths, "clear"), ok);
  assertEquals(readStatus(id, at), null);
  const kind = "question";
  assertEquals(toldIn(paths), [
    { value: "blocked", kind, message: "which branch?", source: "report" },
    { value: "blocked", kind, message: "hm", source: "report" },
    status,
    null,
  ]);
  assertEquals(Deno.statSync(paths.events).mode! & 0o777, 0o600);
});

test("reportStatus() waits for another report, and compares with that one", async (root) => {
  const at = { root: root.dir };
  const { paths } = await createSession({ ...at, command: ["sleep", "9"] });
  const env = { CODEX_SESSION_ID: paths.id, CODEX_SESSION_DIR: paths.dir };
  await reportIn(paths, "done");
  const done = readReport(paths)!;
  writeReport(paths, null);
  let second: Deno.ChildProcess;
  {
    using first = openFile(paths.pid)!;
    assert(first.tryLock("exclusive"));
    second = startCli("/nowhere", ["report", "done"], { env });
    const fds = `/proc/${second.pid}/fd`;
    await until(() =>
      [...Deno.readDirSync(fds)].some(({ name }) =>
        linkAt(`${fds}/${name}`) === paths.pid
      )
    );
    writeReport(paths, done);
  }
  await second.stdin.close();
  assertEquals((await second.output()).code, 0);
  assertEquals(readReport(paths), done);
  assertEquals(toldIn(paths).length, 1);
});

test("reportStatus() ends with the process that it names", async (root) => {
  const at = { root: root.dir };
  const script = 'sh -c \'"$@" report working --pid $$; sleep 600\' sh "$@"';
  const { id } = await createSession({
    ...at,
    command: ["sh", "-c", `${script} & exec sleep 600`, "sh", ...CLI],
  });
  await until(() => readStatus(id, at)?.value === "working");
  const { process } = readReport(pathsFor(id, at))!;
  Deno.kill(process.pid, "SIGKILL");
  await until(() => readStatus(id, at) === null);
});

test("reportStatus() refuses what is outside of a session, has ended, or can't be written", async (root) => {
  const outside = await runCli(root.dir, ["report", "done"], {
    env: { CODEX_SESSION_ID: "", CODEX_SESSION_DIR: "" },
  });
  assertEquals(outside.code, 3);
  assertStringIncludes(outside.stderr, "this process belongs to no session");
  const at = { root: root.dir };
  const { id, paths } = await createSession({ ...at, command: ["true"] });
  await waitForSession(id, at);
  const ended = await reportIn(paths, "done");
  assertEquals(ended.code, 4);
  assertStringIncludes(ended.stderr, "it exited with code 0");
  // Another directory than that of the id.
  const other = { ...paths, id: "other" };
  assertEquals((await reportIn(other, "done")).code, 3);
  const gone = pathsFor("gone", at);
  assertEquals((await reportIn(gone, "done")).code, 3);
  const running = await createSession({ ...at, command: ["sleep", "9"] });
  // What stands in the report's place can't be replaced, as in a sandbox.
  Deno.mkdirSync(running.paths.report);
  const refused = await reportIn(running.paths, "done");
  assertEquals(refused.code, 1);
  assertStringIncludes(refused.stderr, "its directory can't be written");
});

Deno.test("report refuses unknown words and numbers", async () => {
  using root = new TestRoot();
  const cases = {
    "dancing": 'Unknown status "dancing": use blocked, error',
    "blocked --kind coffee": 'Unknown kind "coffee": use permission',
    "done --kind auth": "only for the status blocked",
    "done --progress 4": "only for the status working or blocked",
    "working --progress 101": 'Invalid progress "101"',
    "working --pid x": 'Invalid process id "x"',
    "": "expected a status",
  };
  for (const [line, message] of Object.entries(cases)) {
    const args = line.split(" ").filter(Boolean);
    const { code, stderr } = await runCli(root.dir, ["report", ...args]);
    assertEquals(code, 2, line);
    assertStringIncludes(stderr, message);
  }
});
