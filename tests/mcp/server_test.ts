/**
 * The server as the official client sees it: protocol, tools, errors, and its end.
 *
 * @module
 */
import { connect } from "./client.ts";
import { assert, assertEquals, TestRoot } from "../helpers.ts";

Deno.test("a client lists the sessions", async () => {
  using root = new TestRoot();
  await using server = await connect(root.dir, { args: ["--all"] });
  const { sessions } = await server.call("list_sessions");
  assertEquals(sessions, []);
});

Deno.test("the instructions begin with what the server is for, in what Codex shows of them", async () => {
  using root = new TestRoot();
  await using server = await connect(root.dir, { args: ["--all"] });
  const [first = ""] = server.client.getInstructions()?.split("\n") ?? [];
  assert(first.length > 100 && first.length <= 247, first);
});
