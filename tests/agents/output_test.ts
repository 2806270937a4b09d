import {
  idInClaudeOutput,
  readClaudeOutput,
} from "../../agents/claude_output.ts";
import { idInCodexOutput, readCodexOutput } from "../../agents/codex_output.ts";
import { assertEquals, TestRoot } from "../helpers.ts";

const ID = "01a2005d-4ef9-7483-9b47-a9b60d093b93";
const OTHER = "01a2005d-4d3e-7220-b45a-b145c2cd4296";

/** What `codex exec` 0.169.0 writes to standard error. */
const HEADER = `OpenAI Codex v0.169.0
--------
workdir: /home/user/work
model: stand-in
session id: ${ID}
--------
user
`;

/** Files with the output of a session. */
function output(root: TestRoot, { stdout = "", stderr = "" }) {
  const files = { stdout: `${root.dir}/stdout`, stderr: `${root.dir}/stderr` };
  Deno.writeTextFileSync(files.stdout, stdout);
  Deno.writeTextFileSync(files.stderr, stderr);
  return files;
}

Deno.test("idInCodexOutput() believes the header that Codex begins with, and no later one", () => {
  using root = new TestRoot();
  const id = (stderr: string, args = ["exec", "hi"]) =>
    idInCodexOutput(args, output(root, { stderr }));
  assertEquals(id(HEADER), ID);
  assertEquals(id(`Reading additional input from stdin...\n${HEADER}`), ID);
  assertEquals(id(`warning: Untrusted configuration\n${HEADER}`), ID);
  const later = HEADER.replace(ID, OTHER);
  assertEquals(id(`${HEADER}${later}`), ID);
  assertEquals(id(`something else\n${HEADER}`), undefined);
  assertEquals(id(HEADER.replace("--------\nuser", "--")), undefined);
  const twice = HEADER.replace("session", `session id: ${OTHER}\nsession`);
  assertEquals(id(twice), undefined);
  assertEquals(id(HEADER.replace(ID, "--last")), undefined);
  assertEquals(id(HEADER, ["exec", "--json", "hi"]), undefined);
});

Deno.test("codex --json: the first line names the conversation, the last ones the answer", () => {
  using root = new TestRoot();
  const args = ["exec", "--json", "hi"];
  const first = JSON.stringify({ type: "thread.started", thread_id: ID });
  const item = (type: string, text: string) =>
    JSON.stringify({ type: "item.completed", item: { type, text } });
  const usage = { input_tokens: 10, output_tokens: 5 };
  const done = JSON.stringify({ type: "turn.completed", usage });
  const lines = [first, item("agent_message", "a"), item("error", "b")];
  const all = [...lines, item("agent_message", "c  ü"), done];
  const files = output(root, { stdout: all.join("\n") + "\n" });
  assertEquals(idInCodexOutput(args, files), ID);
  const stdout = `${item("agent_message", "x")}\n${first}\n`;
  assertEquals(idInCodexOutput(args, output(root, { stdout })), undefined);
  assertEquals(readCodexOutput(args, all.toReversed()), {
    turn: { state: "done" },
    answer: { text: "c  ü", tokens: { input: 10, output: 5 } },
  });
  assertEquals(readCodexOutput(args, lines.toReversed()), { turn: undefined });
  const error = { message: "429\x1b Too Many" };
  const failed = JSON.stringify({ type: "turn.failed", error });
  assertEquals(readCodexOutput(args, [failed, ...lines]), {
    turn: { state: "failed", message: "429 Too Many" },
  });
  assertEquals(readCodexOutput(["exec", "--", "--json"], all), "text");
});

Deno.test("claude --output-format: each form names the conversation and the answer", () => {
  using root = new TestRoot();
  const init = { type: "system", subtype: "init", session_id: ID };
  const result = {
    ...{ type: "result", is_error: false, result: "c  ü", session_id: ID },
    usage: { input_tokens: 7, cache_read_input_tokens: 3, output_tokens: 5 },
    total_cost_usd: 0.00014000000000000001,
  };
  const stream = [init, { type: "assistant" }, result].map((one) =>
    JSON.stringify(one)
  );
  const forms = [
    [["-p", "--output-format", "json", "hi"], [JSON.stringify(result)]],
    [["-p", "--output-format=json"], [JSON.stringify([init, result])]],
    [["-p", "hi", "--output-format=stream-json"], stream],
  ] as const;
  for (const [args, lines] of forms) {
    const files = output(root, { stdout: lines.join("\n") + "\n" });
    assertEquals(idInClaudeOutput(args, files), ID);
    assertEquals(readClaudeOutput(args, lines.toReversed()), {
      turn: { state: "done" },
      answer: {
        text: "c  ü",
        tokens: { input: 10, output: 5 },
        costUsd: 0.00014,
      },
    });
  }
  const [args] = forms[0];
  const refused = JSON.stringify({
    ...result,
    ...{ is_error: true, api_error_status: 429, result: "API Error" },
  });
  assertEquals(readClaudeOutput(args, [refused]), {
    turn: { state: "failed", message: "API Error", httpStatus: 429 },
  });
  const files = output(root, { stdout: `${JSON.stringify(init)}\n` });
  assertEquals(idInClaudeOutput(["-p", "hi"], files), undefined);
  assertEquals(readClaudeOutput(["-p", "hi"], []), "text");
  assertEquals(
    readClaudeOutput(["-p", "--output-format", "new"], []),
    undefined,
  );
});
