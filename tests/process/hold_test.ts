/** That a name means the session that was looked at, and no later one. */
import { createSession } from "../../session/create.ts";
import { SessionError } from "../../errors.ts";
import { Hold } from "../../process/hold.ts";
import { pruneSessions } from "../../session/prune.ts";
import { type Paths, pathsFor, readState } from "../../store.ts";
import { deleteSession, stopSession } from "../../session/stop.ts";
import { waitForSession } from "../../client/wait.ts";
import {
  assert,
  assertEquals,
  assertRejects,
  CLI,
  TestRoot,
  until,
} from "../helpers.ts";

/** Another process deletes an ended session and uses its id again, all at once. */
function replace(paths: Paths): void {
  const root = paths.dir.slice(0, paths.dir.lastIndexOf("/"));
  Deno.renameSync(paths.dir, `${root}/.old-${paths.id}`);
  const [program = "", ...args] = CLI;
  const { success } = new Deno.Command(program, {
    args: [...args, "run", "--id", paths.id, "--", "sleep", "600"],
    env: { CODEX_SESSION_HOME: root },
  }).outputSync();
  assert(success);
}

/** Runs `work` right before the first look of this kind at the session's directory. */
async function beforeLook<T>(
  look: "lstatSync" | "readDirSync",
  paths: Paths,
  work: () => void,
  during: () => Promise<T>,
): Promise<T> {
  const original = Deno[look];
  // deno-lint-ignore no-explicit-any
  (Deno as any)[look] = (path: string) => {
    if (path === paths.dir) {
      // deno-lint-ignore no-explicit-any
      (Deno as any)[look] = original;
      work();
    }
    return original(path);
  };
  try {
    return await during();
  } finally {
    // deno-lint-ignore no-explicit-any
    (Deno as any)[look] = original;
  }
}

async function startEnded(root: TestRoot): Promise<Paths> {
  const { paths } = await createSession({
    root: root.dir,
    id: "a",
    command: ["true"],
  });
  await waitForSession("a", { root: root.dir });
  return paths;
}

Deno.test("Hold tells a directory from a later one of the same name, and locks out others", async () => {
  using root = new TestRoot();
  const paths = pathsFor("a", { root: root.dir });
  assertEquals(Hold.take(paths), undefined);
  Deno.symlinkSync(root.dir, paths.dir);
  assertEquals(Hold.take(paths), undefined);
  Deno.removeSync(paths.dir);
  Deno.mkdirSync(paths.dir);
  using first = Hold.take(paths)!;
  using second = Hold.take(paths)!;
  assert(first.isStill() && await first.lock());
  assert(!second.tryLock() && !await second.lock(10));
  const waiting = second.lock(5_000);
  first.remove();
  assertEquals([...Deno.readDirSync(root.dir)], []);
  Deno.mkdirSync(paths.dir);
  assert(!await waiting && !second.isStill());
  first.remove();
  assert([...Deno.readDirSync(root.dir)].length === 1, "another's is removed");
});

Deno.test("pruneSessions() leaves a running session alone whose id was an ended one's", async () => {
  await using root = new TestRoot();
  const paths = await startEnded(root);
  const { deleted, failed } = await beforeLook(
    "readDirSync",
    paths,
    () => replace(paths),
    () => pruneSessions({ root: root.dir }),
  );
  assertEquals(readState(paths).state, "running");
  assertEquals([deleted, failed], [[], []]);
});

Deno.test("deleteSession() leaves a running session alone whose id was an ended one's", async () => {
  await using root = new TestRoot();
  const paths = await startEnded(root);
  await assertRejects(
    () =>
      beforeLook(
        "lstatSync",
        paths,
        () => replace(paths),
        () => deleteSession("a", { root: root.dir }),
      ),
    SessionError,
    "use force (-f) to stop it first",
  );
  assertEquals(readState(paths).state, "running");
});

Deno.test("deleteSession() waits for another who is deleting, until it is aborted", async () => {
  await using root = new TestRoot();
  const paths = await startEnded(root);
  using other = Hold.take(paths)!;
  assert(other.tryLock());
  const controller = new AbortController();
  const deleting = deleteSession("a", {
    root: root.dir,
    signal: controller.signal,
  });
  controller.abort(new Error("enough"));
  await assertRejects(() => deleting, Error, "enough");
  assertEquals(readState(paths).state, "exited");
});

Deno.test("createSession() that fails removes no later session with its id", async () => {
  await using root = new TestRoot();
  const paths = pathsFor("a", { root: root.dir });
  await assertRejects(
    () =>
      createSession({
        root: root.dir,
        id: "a",
        command: ["/nonexistent"],
        beforeStart: () => {
          // Before the start that will fail.
          replace(paths);
        },
      }),
    Error,
  );
  assertEquals(readState(paths).state, "running");
  await stopSession("a", { root: root.dir, graceMs: 0 });
  await until(() => root.strays().length === 0);
});
