import { within } from "../../system/async.ts";
import { readLink } from "../../system/libc.ts";
import { OS } from "../../system/os.ts";
import { whenEnded } from "../../system/process_events.ts";
import { assertEquals, assertThrows, until } from "../helpers.ts";

/** How many descriptors there are to learn of ends by. */
function descriptors(): number {
  return [...Deno.readDirSync("/proc/self/fd")]
    .map(({ name }) => readLink(`/proc/self/fd/${name}`) ?? "")
    .filter((target) => /^anon_inode:.*(pidfd|poll|eventfd)/.test(target))
    .length;
}

Deno.test({
  name: "whenEnded() calls once for each process, and leaves no descriptor",
  ignore: !OS.hasProc,
  async fn() {
    // Deno itself may have some.
    const before = descriptors();
    const children = Array.from(
      { length: 70 }, // More than one wait tells of.
      () => new Deno.Command("sleep", { args: ["60"] }).spawn(),
    );
    const ended: number[] = [];
    const watches = children.map(({ pid }) =>
      whenEnded(pid, () => ended.push(pid))
    );
    const [left, ...others] = children;
    watches[0]![Symbol.dispose]();
    for (const child of children) child.kill("SIGKILL");
    await until(() => ended.length === others.length);
    const byNumber = (a: number, b: number) => a - b;
    assertEquals(
      ended.toSorted(byNumber),
      others.map(({ pid }) => pid).sort(byNumber),
    );
    for (const watch of watches) watch![Symbol.dispose]();
    await Promise.all(children.map(({ status }) => status));
    await until(() => descriptors() === before);
    assertThrows(() => whenEnded(left!.pid, () => {}), Deno.errors.NotFound);
  },
});

Deno.test({
  name: "whenEnded() goes on when the last watch was disposed of a moment ago",
  ignore: !OS.hasProc,
  async fn() {
    const child = new Deno.Command("sleep", { args: ["60"] }).spawn();
    whenEnded(child.pid, () => {})![Symbol.dispose]();
    const { promise, resolve } = Promise.withResolvers<string>();
    using _ = whenEnded(child.pid, () => resolve("ended"));
    child.kill("SIGKILL");
    assertEquals(await within(5000, promise), "ended");
    await child.status;
  },
});
