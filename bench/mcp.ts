/**
 * `mcp`: the time from its start to the first answer, and of a `list_sessions` with 1,000 sessions.
 *
 * @module
 */
import { fill } from "./list.ts";
import {
  atMost,
  Bench,
  BUNDLE,
  type Call,
  denoRun,
  type Effort,
  fillCaches,
  interleave,
  median,
  medianRatio,
  PROJECT,
  pssOf,
  SOURCES,
  type Table,
  timeCall,
} from "./measure.ts";

/** A server with a tool that does nothing: the least that the library needs. */
const FLOOR = `
import { McpServer, serveStdio } from "file://${PROJECT}mcp/sdk.ts";
serveStdio(() => {
  const server = new McpServer({ name: "floor", version: "1" });
  server.registerTool("nothing", {}, () => ({ content: [] }));
  return server;
});
`;

const INITIALIZE = {
  id: 1,
  method: "initialize",
  params: {
    protocolVersion: "2025-06-18",
    capabilities: {},
    clientInfo: { name: "bench", version: "1" },
  },
};

/** A server that runs, and its client. */
class Conversation implements AsyncDisposable {
  readonly #child: Deno.ChildProcess;
  readonly #writer: WritableStreamDefaultWriter<Uint8Array>;
  readonly #reader: ReadableStreamDefaultReader<string>;

  constructor({ argv: [program = "", ...args], env }: Call) {
    this.#child = new Deno.Command(program, {
      args,
      env,
      stdin: "piped",
      stdout: "piped",
      stderr: "null",
    }).spawn();
    this.#writer = this.#child.stdin.getWriter();
    this.#reader = this.#child.stdout
      .pipeThrough(new TextDecoderStream()).getReader();
  }

  /** Sends a request and waits for all of its answer, a line. */
  async ask(request: object): Promise<string> {
    const line = JSON.stringify({ jsonrpc: "2.0", ...request }) + "\n";
    await this.#writer.write(new TextEncoder().encode(line));
    let answer = "";
    while (!answer.endsWith("\n")) {
      const { value, done } = await this.#reader.read();
      if (done) throw new Error("The server has ended");
      answer += value;
    }
    return answer;
  }

  /** Its memory in KiB. */
  get pssKib(): number {
    return pssOf(this.#child.pid);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#writer.close();
    await this.#reader.cancel();
    await this.#child.status;
  }
}

/** How fast `mcp` answers. */
export async function mcp(effort: Effort): Promise<Table[]> {
  await using bench = new Bench();
  const empty = `${bench.dir}/empty.ts`;
  Deno.writeTextFileSync(empty, "");
  const floor = `${bench.dir}/floor.ts`;
  Deno.writeTextFileSync(floor, FLOOR);
  const { env } = bench;
  await fill(bench.root, 1000);
  fillCaches(bench);
  const kib: Record<string, number[]> = {};

  /** The time to the first answer. */
  const first = (name: string, env: Call["env"], ...args: string[]) => () =>
    firstAnswer(name, { argv: denoRun("--no-lock", ...args), env });
  async function firstAnswer(name: string, call: Call): Promise<number> {
    const startedAt = performance.now();
    await using server = new Conversation(call);
    await server.ask(INITIALIZE);
    const tookMs = performance.now() - startedAt;
    (kib[name] ??= []).push(server.pssKib);
    return tookMs;
  }
  let colds = 0;
  const measured = {
    bare: () => timeCall({ argv: denoRun(empty), env }),
    floor: first("floor", env, floor),
    bundle: first("bundle", env, BUNDLE, "mcp"),
    sources: first("sources", env, SOURCES, "mcp"),
    cold: () => {
      const DENO_DIR = `${bench.dir}/cold-${colds++}`;
      return first("cold", { ...env, DENO_DIR }, BUNDLE, "mcp")();
    },
  };
  await interleave(2, measured);
  const took = await interleave(effort.pick(15, 5), measured);

  await using server = new Conversation({
    argv: denoRun(BUNDLE, "mcp", "--all"),
    env,
  });
  await server.ask(INITIALIZE);
  const asking = (limit: number) => async () => {
    const startedAt = performance.now();
    const answer = await server.ask({
      id: 2,
      method: "tools/call",
      params: { name: "list_sessions", arguments: { limit } },
    });
    if (!answer.includes("session-")) throw new Error(answer);
    return performance.now() - startedAt;
  };
  const listing = {
    tool: asking(50),
    json: () => timeCall({ argv: denoRun(BUNDLE, "list", "--json"), env }),
  };
  await interleave(2, listing);
  const listed = await interleave(effort.pick(15, 5), listing);

  const row = (
    title: string,
    name: keyof typeof measured,
    target = "",
  ) => [
    title,
    median(took[name]).toFixed(0),
    Math.min(...took[name]).toFixed(0),
    medianRatio(took[name], took.floor).toFixed(2),
    kib[name] === undefined ? "" : (median(kib[name]) / 1024).toFixed(1),
    target,
  ];
  return [{
    title: "mcp: milliseconds from the start to the first answer",
    columns: ["", "median", "min", "x floor", "PSS in MB", "target"],
    rows: [
      row("bare: deno run EMPTY, to its end", "bare"),
      row("floor: a server with a tool that does nothing", "floor"),
      row("bundle: mcp", "bundle"),
      row(
        "bundle: mcp, run for the first time",
        "cold",
        atMost(Math.max(...took.cold), 1000, " ms, always"),
      ),
      row("sources: mcp", "sources"),
    ],
  }, {
    title: "mcp: milliseconds of a list of 1,000 sessions",
    columns: ["", "median", "min", "x list --json", "target"],
    rows: [
      ["bundle: list --json", listed.json, ""] as const,
      [
        "list_sessions, the newest 50",
        listed.tool,
        atMost(medianRatio(listed.tool, listed.json), 1, " x list --json"),
      ] as const,
    ].map(([title, times, target]) => [
      title,
      median(times).toFixed(1),
      Math.min(...times).toFixed(1),
      medianRatio(times, listed.json).toFixed(2),
      target,
    ]),
  }];
}
