import {
  type FileEvents,
  watchEntries,
  watchFile,
} from "../../system/file_events.ts";
import { within } from "../../system/async.ts";
import { mkfifo, readLink } from "../../system/libc.ts";
import { OS } from "../../system/os.ts";
import { assertEquals, assertThrows, TestRoot, until } from "../helpers.ts";

/** How many descriptors there are to learn of events by. */
function descriptors(): number {
  return [...Deno.readDirSync("/proc/self/fd")]
    .map(({ name }) => readLink(`/proc/self/fd/${name}`))
    .filter((target) => target === "anon_inode:inotify").length;
}

/** Waits for an event. */
async function rings(events: FileEvents): Promise<void> {
  assertEquals(await within(5000, events.next()), true);
}

Deno.test("watchFile() tells of a change, and of one between two calls", async () => {
  using root = new TestRoot();
  const path = `${root.dir}/file`;
  Deno.writeTextFileSync(path, "");
  const events = watchFile(path);
  const append = () => Deno.writeTextFileSync(path, "x", { append: true });
  const next = events.next();
  append();
  assertEquals(await next, true);
  append();
  await rings(events);
  Deno.renameSync(path, `${path}.1`);
  await rings(events);
  const last = events.next();
  events.close();
  assertEquals([await last, await events.next()], [false, false]);
  events.close();
});

Deno.test("watchFile() of a file goes on when another one of it is closed", async () => {
  if (!OS.hasInotify) return;
  using root = new TestRoot();
  const path = `${root.dir}/file`;
  Deno.writeTextFileSync(path, "");
  const [one, other] = [watchFile(path), watchFile(path)];
  one.close();
  Deno.writeTextFileSync(path, "x");
  await rings(other);
  other.close();
});

Deno.test("watchEntries() tells of what appears and vanishes, not of changes below", async () => {
  using root = new TestRoot();
  const below = `${root.dir}/below`;
  Deno.mkdirSync(below);
  Deno.writeTextFileSync(`${below}/file`, "");
  const events = watchEntries(root.dir);
  const changes = [
    () => Deno.mkdirSync(`${root.dir}/new`),
    () => Deno.removeSync(`${root.dir}/new`),
    () => mkfifo(`${root.dir}/pipe`), // Opened, it would wait for good.
  ];
  for (const change of changes) {
    const next = events.next();
    Deno.writeTextFileSync(`${below}/file`, "x");
    assertEquals(await within(20, next), undefined);
    change();
    assertEquals(await within(5000, next), true);
  }
  events.close();
});

Deno.test({
  name:
    "watchFile() leaves no descriptor, also of files that are gone or missing",
  ignore: !OS.hasInotify,
  async fn() {
    using root = new TestRoot();
    const path = `${root.dir}/file`;
    const areNone = () => descriptors() === 0;
    await until(areNone);
    assertThrows(() => watchFile(path), Deno.errors.NotFound);
    await until(areNone);
    for (const isGone of [false, true]) {
      Deno.writeTextFileSync(path, "");
      const events = watchFile(path);
      assertEquals(descriptors(), 1);
      if (isGone) {
        Deno.removeSync(path);
        await rings(events);
      }
      events.close();
      await until(areNone);
    }
  },
});
