/**
 * What docs/mcp.md shows of the real server: its tools as a table, and an exchange with the official
 * client. Prints both for the page:
 *
 *     deno run -A tests/mcp/exchange.ts
 *
 * @module
 */
import { TestRoot } from "../helpers.ts";
import { connect, type Connection } from "./client.ts";

const ID = "tests";
/** So many names of a result stand in the table. */
const MOST_NAMES = 9;

/** The calls; `$cursor` is the cursor of the result before. */
const CALLS: readonly (readonly [tool: string, args: object])[] = [
  ["start_session", {
    id: ID,
    command: ["sh", "-c", "echo 240 tests; read answer; echo $answer"],
    kind: "repl",
    labels: { task: "42" },
  }],
  ["wait_for_session", { id: ID, for: "output=tests", cursor: "$cursor" }],
  ["wait_for_session", { id: ID, for: "exit", timeout: "200ms" }],
  ["send_input", { id: ID, text: "all passed" }],
  ["read_screen", { id: ID }],
  ["wait_for_session", { id: ID, for: "exit" }],
  ["read_output", { id: ID }],
  ["delete_session", { id: ID }],
  ["get_session", { id: ID }],
];

/** A page is the same for every recording: times, processes, cursors, directories. */
function settle(text: string, cwd: string): string {
  return text
    .replaceAll(cwd, "/home/you/project")
    .replaceAll(/"cursor":"[^~"]*~[^"]*"/g, `"cursor":"${ID}~…"`)
    .replaceAll(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, "2026-11-22T10:00:00.000Z")
    .replaceAll(/"pid":\d+/g, '"pid":4711');
}

/** The exchange, a call or a result a line. */
export async function recordExchange(): Promise<string> {
  await using root = new TestRoot();
  const cwd = Deno.realPathSync(root.dir);
  await using server = await connect(root.dir, { cwd });
  const lines: string[] = [];
  let cursor = "";
  for (const [name, args] of CALLS) {
    const asked = JSON.stringify(args);
    const given = JSON.parse(
      asked.replace('"$cursor"', JSON.stringify(cursor)),
    );
    const result = await server.client.callTool({ name, arguments: given });
    // deno-lint-ignore no-explicit-any
    const facts = result.structuredContent as any;
    cursor = facts.cursor ?? cursor;
    lines.push(`→ ${name} ${JSON.stringify(given)}`);
    lines.push(`← ${result.isError ? "isError " : ""}${JSON.stringify(facts)}`);
  }
  return settle(lines.join("\n"), cwd);
}

/** The table of tools. */
export async function toolTable({ client }: Connection): Promise<string> {
  const names = (schema: unknown, needed: readonly string[] = []) =>
    // deno-lint-ignore no-explicit-any
    Object.keys((schema as any)?.properties ?? {})
      .map((name) => needed.includes(name) ? `**\`${name}\`**` : `\`${name}\``)
      .join(", ");
  const { tools } = await client.listTools();
  const rows = tools.map((tool) => {
    const { readOnlyHint, destructiveHint, openWorldHint } = tool.annotations ??
      {};
    const effects = [
      readOnlyHint && "looks",
      destructiveHint && "destroys",
      openWorldHint && "reaches out",
    ].filter(Boolean).join(", ");
    const input = names(tool.inputSchema, tool.inputSchema.required);
    const output = names(tool.outputSchema).split(", ");
    const result = output.length > MOST_NAMES
      ? [...output.slice(0, MOST_NAMES), "…"]
      : output;
    const cells = [`\`${tool.name}\``, effects, input, result.join(", ")];
    return `| ${cells.join(" | ")} |`;
  });
  const head = "| tool | effect | arguments (needed ones bold) | result |";
  return [head, "| --- | --- | --- | --- |", ...rows].join("\n");
}

if (import.meta.main) {
  {
    using root = new TestRoot();
    await using server = await connect(root.dir);
    console.log(await toolTable(server));
  }
  console.log(await recordExchange());
}
