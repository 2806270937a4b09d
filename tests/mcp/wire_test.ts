/**
 * The connection to a client that doesn't read.
 *
 * @module
 */
import { type Message, MOST_ASKED, openWire } from "../../mcp/wire.ts";
import { assertEquals, assertStringIncludes } from "../helpers.ts";

Deno.test("openWire() refuses too many requests, reads on, and notices the end of the input, read or not", async () => {
  const client = new TransformStream<Uint8Array, Uint8Array>();
  const input = client.writable.getWriter();
  const say = async (message: object) => {
    const line = JSON.stringify({ jsonrpc: "2.0", ...message });
    await input.write(new TextEncoder().encode(`${line}\n`));
  };
  const pipe = Promise.withResolvers<void>();
  const said: string[] = [];
  const write = async (bytes: Uint8Array) => {
    await pipe.promise;
    said.push(new TextDecoder().decode(bytes));
  };
  const wire = openWire(
    { stdin: client.readable, write },
    (json) => json as Message,
  );
  const seen: unknown[] = [];
  wire.onmessage = ({ id, params }) => {
    seen.push(id ?? params?.requestId);
    if (id === undefined || id === 0) return;
    wire.send({ id, result: "x".repeat(100_000) }).catch(() => {});
  };
  await wire.start();
  for (let id = 0; id < 2 * MOST_ASKED; id++) await say({ id, method: "m" });
  const cancelled = "notifications/cancelled";
  await say({ method: cancelled, params: { requestId: 0 } });
  await say({ id: "next", method: "m" });
  await say({ id: "more", method: "m" });
  await input.close();
  await wire.closed;
  const first = Array.from({ length: MOST_ASKED }, (_, id) => id);
  assertEquals(seen, [...first, 0, "next"]);
  pipe.resolve();
  await new Promise((resolve) => setTimeout(resolve));
  const refused = said.filter((line) => line.includes('"error"'));
  assertEquals(refused.length, MOST_ASKED + 1);
  assertStringIncludes(refused[0]!, "-32000");
  assertStringIncludes(refused[0]!, "requests at the same time");
});
