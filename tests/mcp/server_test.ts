/**
 * The server as the official client sees it: protocol, tools, errors, and its end.
 *
 * @module
 */
import { connect } from "./client.ts";
import { assertEquals, TestRoot } from "../helpers.ts";

Deno.test("a client lists the sessions", async () => {
  using root = new TestRoot();
  await using server = await connect(root.dir, { args: ["--all"] });
  const { sessions } = await server.call("list_sessions");
  assertEquals(sessions, []);
});
