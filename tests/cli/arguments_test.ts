/**
 * What no text can hold: arguments of any bytes, and a current directory that is gone.
 *
 * @module
 */
import {
  assert,
  assertEquals,
  assertMatch,
  PROJECT,
  runCli,
  TestRoot,
} from "../helpers.ts";

Deno.test("an argument that is not UTF-8 is refused, and not changed", async () => {
  await using root = new TestRoot();
  const prefix = ["sh", "-c", `exec "$@" "$(printf 'a\\377')"`, "sh"];
  const { code, stderr } = await runCli(root.dir, ["run", "echo"], { prefix });
  assert(code > 0);
  // Deno 2.7 refuses it itself.
  assertMatch(stderr, /^codex-session: Argument 3 is not UTF-8|invalid UTF-8/);
  assertEquals([...Deno.readDirSync(root.dir)], []);
  const text = await runCli(root.dir, ["run", "echo", "a\ufffd"]);
  assertEquals([text.code, text.stderr], [0, ""]);
});

/** Runs a command in a directory that is deleted; returns its standard error. */
async function inDeleted(...command: string[]): Promise<string> {
  const script = 'd=$(mktemp -d); cd "$d"; rmdir "$d"; exec "$@"';
  const { code, stderr } = await new Deno.Command("sh", {
    args: ["-c", script, "sh", ...command],
  }).output();
  assertEquals(code, 1);
  return new TextDecoder().decode(stderr);
}

Deno.test("the npm command says in one line that the current directory was deleted", async () => {
  const said = await inDeleted("sh", `${PROJECT}build/codex-session.sh`);
  const line = said.split("\n").at(-2); // Some shells complain, too.
  const why = "the current directory was deleted; change to another one";
  assertEquals(line, `codex-session: ${why}`);
});

Deno.test("createSession() says that the current directory was deleted", async () => {
  await using root = new TestRoot();
  // Deno itself does not start in such a directory.
  const main = `
    import { createSession } from "${PROJECT}mod.ts";
    Deno.chdir(Deno.makeTempDirSync());
    Deno.removeSync(Deno.cwd());
    const at = { root: "${root.dir}" };
    try {
      await createSession({ ...at, command: ["true"] });
    } catch (error) {
      console.log(error.code, error.message);
    }`;
  const { stdout } = await new Deno.Command(Deno.execPath(), {
    args: ["eval", main],
  }).output();
  assertEquals(
    new TextDecoder().decode(stdout),
    "cwd_missing Cannot start a session: the current directory was deleted; change to another one\n",
  );
});
