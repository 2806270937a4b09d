/**
 * docs/mcp.md is true: its table of tools, its exchange, and what it says of each tool's danger.
 *
 * @module
 */
import {
  assert,
  assertEquals,
  assertRejects,
  PROJECT,
  TestRoot,
} from "../helpers.ts";
import { connect } from "./client.ts";
import { recordExchange, toolTable } from "./exchange.ts";

const PAGE = Deno.readTextFileSync(`${PROJECT}docs/mcp.md`);

/** Without the blanks that align a table. */
const narrow = (text: string) =>
  text.replaceAll(/ +/g, " ").replaceAll(/-+/g, "-");

Deno.test("docs/mcp.md has the tools as the server has them", async () => {
  using root = new TestRoot();
  await using server = await connect(root.dir);
  const table = await toolTable(server);
  assert(narrow(PAGE).includes(narrow(table)), table);
});

Deno.test("docs/mcp.md has the exchange as it is", async () => {
  const exchange = await recordExchange();
  assert(PAGE.includes(exchange), exchange);
});

Deno.test("mcp --read-only has only tools that look, and refuses the others", async () => {
  using root = new TestRoot();
  await using server = await connect(root.dir, { args: ["--read-only"] });
  const { tools } = await server.client.listTools();
  assert(tools.length >= 5);
  for (const { name, annotations } of tools) {
    assertEquals(annotations?.readOnlyHint, true, name);
  }
  await assertRejects(() =>
    server.call("start_session", { command: ["true"] })
  );
});

Deno.test("tools that change something say that they destroy or reach out, so that clients ask", async () => {
  using root = new TestRoot();
  await using server = await connect(root.dir);
  const { tools } = await server.client.listTools();
  for (const { name, annotations } of tools) {
    const { readOnlyHint, destructiveHint, openWorldHint } = annotations ?? {};
    assert(readOnlyHint || destructiveHint || openWorldHint, name);
  }
  const runs = tools.filter(({ annotations }) => annotations?.openWorldHint)
    .map(({ name }) => name).sort();
  assertEquals(runs, ["ask_agent", "send_input", "start_session"]);
});
