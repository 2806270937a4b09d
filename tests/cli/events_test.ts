import { appendEvent } from "../../events/journal.ts";
import { pathsFor } from "../../store.ts";
import {
  assert,
  assertEquals,
  assertStringIncludes,
  runCli,
  startCli,
  TestRoot,
} from "../helpers.ts";

/** Runs a call that must succeed. */
async function ok(root: TestRoot, ...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await runCli(root.dir, args);
  assertEquals([code, stderr], [0, ""], args.join(" "));
  return stdout;
}

/** The sessions and types of the events in an output. */
function wordsOf(output: string): string[] {
  const lines = output.split("\n").slice(0, -1);
  return lines.map((line) => JSON.parse(line))
    .map(({ id, type }) => `${id} ${type}`);
}

Deno.test("events prints a JSON object a line, of all sessions or of those chosen", async () => {
  await using root = new TestRoot();
  await ok(
    root,
    "run",
    "--id",
    "a",
    "-l",
    "task=1",
    "--",
    "sh",
    "-c",
    "exit 3",
  );
  await ok(root, "run", "--id", "b", "--", "sleep", "600");
  await runCli(root.dir, ["wait", "a"]);
  const a = pathsFor("a", { root: root.dir });
  const title = "\u009b2J\u202e\n";
  appendEvent(a, { type: "notification", body: title });
  const all = await ok(root, "events");
  assertEquals(wordsOf(all).toSorted(), [
    ...["a created", "a exited", "a notification", "a started"],
    ...["b created", "b started"],
  ]);
  assert(/^[\x20-\x7e\n]*$/.test(all), "something in it isn't harmless");
  assertStringIncludes(all, '"type":"exited","ending":{"code":3}}\n');
  assertEquals(await ok(root, "events", "--json"), all);
  const life = ["a created", "a started", "a notification", "a exited"];
  assertEquals(wordsOf(await ok(root, "events", "a")), life);
  assertEquals(wordsOf(await ok(root, "events", "-l", "task")), life);
  assertEquals(wordsOf(await ok(root, "events", "--state", "exited")), life);
  assertEquals(await ok(root, "events", "--since", "0s"), "");
  assertEquals(await ok(root, "events", "--since", "99999999d"), all);
  const types = ["--type", "exited", "--type", "started,lost"];
  assertEquals(wordsOf(await ok(root, "events", "a", ...types)), [
    "a started",
    "a exited",
  ]);
  const missing = await runCli(root.dir, ["events", "a", "nobody"]);
  assertEquals([missing.code, wordsOf(missing.stdout)], [3, life]);
});

Deno.test("events -f prints what happens, and ends with the sessions that it was given", async () => {
  await using root = new TestRoot();
  await ok(root, "run", "-i", "--id", "a", "-l", "x=0", "--", "cat");
  const follow = (...args: string[]) => {
    const child = startCli(root.dir, ["events", "-f", ...args]);
    child.stdin.close();
    return child;
  };
  const named = follow("a").output();
  const others = follow("-l", "x", "--since", "0s");
  const reader = others.stdout.pipeThrough(new TextDecoderStream()).getReader();
  // Its first line tells that it follows: what was before is left out.
  let seen = "";
  const first = reader.read();
  const sent = async () => {
    // Until it follows, input is noted only once.
    const paths = pathsFor("a", { root: root.dir });
    for (let isSeen = false; !isSeen;) {
      appendEvent(paths, { type: "title", title: "t" });
      isSeen = await Promise.race([
        first.then(() => true),
        new Promise<boolean>((wake) => setTimeout(wake, 20, false)),
      ]);
    }
  };
  await sent();
  seen += (await first).value ?? "";
  await ok(root, "send", "a", "hello");
  await ok(root, "run", "--id", "b", "-l", "x=1", "--rm", "--", "sleep", "0.2");
  await ok(root, "run", "--id", "c", "--", "true");
  await ok(root, "send", "a", "--eof");
  while (!seen.includes('"id":"a","type":"exited"')) {
    seen += (await reader.read()).value ?? "";
  }
  while (!seen.includes('"id":"b","type":"deleted"')) {
    seen += (await reader.read()).value ?? "";
  }
  others.kill("SIGINT");
  assertEquals((await others.status).signal, "SIGINT");
  assertEquals(await new Response(others.stderr).text(), "");
  await reader.cancel();
  const words = wordsOf(seen).filter((word) => word !== "a title");
  assertEquals(words.filter((word) => word.startsWith("a")), [
    "a input",
    "a exited",
  ]);
  assertEquals(words.filter((word) => !word.startsWith("a")), [
    "b created",
    "b started",
    "b exited",
    "b deleted",
  ]);
  const { code, stdout, stderr } = await named;
  assertEquals([code, new TextDecoder().decode(stderr)], [0, ""]);
  const all = wordsOf(new TextDecoder().decode(stdout));
  assertEquals(all.filter((word) => word !== "a title"), [
    "a created",
    "a started",
    "a input",
    "a exited",
  ]);
});
