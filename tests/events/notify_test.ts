/**
 * `notify.ts`: which statuses the notifier is told of, and when.
 *
 * @module
 */
import type { ToldStatus } from "../../events/event.ts";
import { notifyOf, readOutcome } from "../../events/notify.ts";
import { createSession } from "../../session/create.ts";
import { processesAt } from "../../process/members.ts";
import { newMeta, pathsIn, readState } from "../../store.ts";
import { exists } from "../../system/files.ts";
import {
  assertEquals,
  assertStringIncludes,
  CLI,
  TestRoot,
  until,
} from "../helpers.ts";

const meta = newMeta({
  ...{ id: "a", kind: "pty", argv: ["x"], cwd: "/" } as const,
  notify: "/bin/true",
});

/** What tells a notifier, and what it has been told. */
function teller() {
  const told: string[] = [];
  const notify = notifyOf(
    meta,
    pathsIn("/none", "a"),
    (_, __, { value, message }) => told.push(message ?? value) > 0,
  )!;
  const tell = (value: ToldStatus["value"] | null, message?: string) => {
    const status = value === null
      ? null
      : { value, message, source: "terminal" } as const;
    notify({ type: "status", status });
  };
  return { told, tell };
}

/**
 * A notifier in a folder of its own. It adds the output of `tell` to the file `told` there, which
 * appears whole, and ends after `then`.
 */
function makeNotifier(root: TestRoot, tell: string, then = "") {
  const dir = `${root.dir}/.notifier`;
  const notify = `${dir}/program`;
  Deno.mkdirSync(dir);
  Deno.writeTextFileSync(
    notify,
    `#!/bin/sh
     cd '${dir}' || exit
     { ${tell}; } >>new
     mv new told
     ${then}`,
    { mode: 0o755 },
  );
  return { dir, notify };
}

Deno.test("notifyOf() tells of blocked, done and error, once each", () => {
  const { told, tell } = teller();
  tell("working");
  tell("idle");
  tell(null);
  assertEquals(told, []);
  tell("blocked", "first");
  tell("blocked", "the same, in other words");
  assertEquals(told, ["first"]);
});

Deno.test("notifyOf() tells a second later of what is still true", async () => {
  const { told, tell } = teller();
  tell("done", "1");
  tell("error", "2");
  tell("working");
  tell("blocked", "3");
  assertEquals(told, ["1"]);
  await until(() => told.length === 2);
  assertEquals(told, ["1", "3"]);
});

Deno.test("notifyOf() is nothing without a notifier", () => {
  const { notify: _, ...without } = meta;
  assertEquals(notifyOf(without, pathsIn("/none", "a")), undefined);
});

Deno.test("report starts the notifier apart from the session, once for each change", async () => {
  await using root = new TestRoot();
  const { dir, notify } = makeNotifier(
    root,
    `cat; echo "$CODEX_SESSION_ID $CODEX_SESSION_EVENT $CODEX_SESSION_MESSAGE"
     echo "\${CODEX_SESSION_DIR-none}"`,
  );
  const report = `${CLI.join(" ")} report blocked --kind question`;
  const { paths } = await createSession({
    ...{ root: root.dir, id: "a", notify },
    command: [
      ...["sh", "-c"],
      `${report} -m "which 'é'?"; ${report} -m again; touch ${dir}/reported; exec sleep 600`,
    ],
  });
  await until(() => exists(`${dir}/told`) && exists(`${dir}/reported`));
  const [json, line, directory, more] = Deno.readTextFileSync(`${dir}/told`)
    .split("\n");
  const { at: _, session, status, ...event } = JSON.parse(json!);
  assertEquals(event, { id: "a", type: "status" });
  assertEquals(status.message, "which 'é'?");
  assertEquals(session.argv[0], "sh");
  assertEquals(line, "a blocked which 'é'?");
  assertEquals([directory, more], ["none", ""]);
  const outcome = await until(() => readOutcome(paths));
  assertEquals({ ...outcome, at: "" }, {
    ...{ at: "", event: "blocked", exitStatus: 0 },
  });
});

Deno.test("readOutcome() believes no other content", () => {
  const dir = Deno.makeTempDirSync();
  try {
    const notify = `${dir}/notify.json`;
    for (
      const text of [
        "null",
        "[]",
        "{}",
        '{"at":"x","event":"done","exitStatus":0}',
        '{"at":"2026-01-01T00:00:00Z","event":"\\u001b","exitStatus":0}',
        '{"at":"2026-01-01T00:00:00Z","event":"done","exitStatus":"0"}',
        `"${"x".repeat(5000)}"`,
      ]
    ) {
      Deno.writeTextFileSync(notify, text);
      assertEquals(readOutcome({ notify }), null);
    }
  } finally {
    Deno.removeSync(dir, { recursive: true });
  }
});

Deno.test("a relay tells the notifier, which does not hold the lock of the session", async () => {
  await using root = new TestRoot();
  const { dir, notify } = makeNotifier(
    root,
    `echo "$CODEX_SESSION_EVENT: $CODEX_SESSION_MESSAGE"`,
    `while [ ! -e go ]; do sleep 0.01; done`,
  );
  const message = btoa("approve Bash");
  const report = `printf '\\033]7501;state=%s\\007'`;
  const { paths } = await createSession({
    ...{ root: root.dir, id: "a", kind: "pty", notify } as const,
    command: [
      ...["sh", "-c"],
      // No agent chooses the program.
      `sed -i 's#"notify": .*#"notify": "/bin/false"#' "$CODEX_SESSION_DIR/meta.json" || exit
       ${report} working; ${report} 'blocked:kind=permission:msg=${message}'; exec sleep 600`,
    ],
  });
  await until(() => exists(`${dir}/told`));
  assertEquals(
    Deno.readTextFileSync(`${dir}/told`),
    "blocked: approve Bash\n",
  );
  assertStringIncludes(Deno.readTextFileSync(paths.meta), "/bin/false");
  const processes = processesAt(paths);
  assertEquals(processes.map(({ role }) => role), ["reaper", "relay", "agent"]);
  for (const { pid } of processes) Deno.kill(pid, "SIGKILL");
  // It has no copy of the lock. With one, the state would be "running" as long as it runs: 10 s.
  await until(() => readState(paths).state === "lost", "lost", 5_000);
  Deno.writeTextFileSync(`${dir}/go`, "");
  await until(() => readOutcome(paths));
});
