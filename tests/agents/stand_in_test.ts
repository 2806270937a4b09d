/** The stand-ins tell a terminal what the real agents tell it, where those are installed. */
import { assertEquals, until } from "../helpers.ts";
import { TestWindow } from "../pty.ts";
import { DEADLINE_MS, FOLDER, Kit } from "./kit.ts";

// deno-lint-ignore no-control-regex
const REPORT = /\x1b\]7501;(state=[^\x07\x1b]*)(\x07|\x1b\\)/g;

/** A terminal that answers the agents' first questions, in order. */
class Terminal {
  #from = 0;

  constructor(readonly window: TestWindow) {}

  /** The reports since the last one that `reports()` gave. */
  get #new(): string[] {
    return [...this.window.output.matchAll(REPORT)].slice(this.#from)
      // Claude Code may say what it works on, if that takes long enough.
      .map(([, body, end]) =>
        body!.replace(/^(state=working:app=claude-code):msg=.*/, "$1") +
        (end === "\x07" ? " BEL" : " ST")
      );
  }

  /** Waits for a report that begins so, and gives all since the last call. */
  async reports(last: string): Promise<string[]> {
    const isThere = () => this.#new.at(-1)?.startsWith(last);
    await until(isThere, last, DEADLINE_MS);
    const found = this.#new;
    this.#from += found.length;
    return found;
  }

  /** Presses a key until there is a report: in its first moments a question takes none. */
  async press(key: string): Promise<void> {
    while (this.#new.length === 0) {
      this.window.type(key);
      await until(() => this.#new.length > 0, key, 1000).catch(() => {});
    }
  }

  async prompt(text: string): Promise<void> {
    this.window.type(text);
    // A faster Enter would be a part of a paste.
    await new Promise((wake) => setTimeout(wake, 150));
    this.window.type("\r");
  }
}

async function open(
  kit: Kit,
  argv: readonly string[],
  answer: string,
): Promise<Terminal> {
  const script = `cd '${kit.dir}/work' && exec "$@"`;
  const window = await TestWindow.open(["sh", "-c", script, "sh", ...argv], {
    columns: 120,
    rows: 40,
    env: { ...kit.env },
  });
  const isAsked = () => window.output.includes("\x1b[c");
  await until(isAsked, "the question for attributes", DEADLINE_MS);
  window.type(answer);
  return new Terminal(window);
}

const CODEX = ["codex", "-a", "on-request", "-s", "workspace-write"];
const CLAUDE = ["claude", "--permission-mode", "default"];
const ATTRIBUTES = "\x1b[?62;22c";

const text = (message: string) => new TextEncoder().encode(message).toBase64();

for (const isReal of [false, true]) {
  const ignore = isReal && FOLDER === undefined;
  const who = isReal ? "the real" : "the stand-in for";

  Deno.test({ name: `${who} Codex reports unasked`, ignore }, async () => {
    await using kit = new Kit(isReal);
    const terminal = await open(kit, [...CODEX, "#ask=touch x"], ATTRIBUTES);
    await using _ = terminal.window;
    // Before that it may be idle, and work for a moment on something of its own.
    const first = await terminal.reports("state=blocked");
    assertEquals(first.slice(-2), [
      "state=working:app=codex ST",
      "state=blocked:app=codex:kind=permission ST",
    ]);
    await terminal.press("y");
    assertEquals(await terminal.reports("state=done"), [
      "state=working:app=codex ST",
      "state=done:app=codex ST",
    ]);
    await terminal.prompt("#error=429");
    assertEquals(await terminal.reports("state=error"), [
      "state=idle:app=codex ST",
      "state=working:app=codex ST",
      "state=error:app=codex ST",
    ]);
    terminal.window.type("\x03\x03");
    assertEquals(await terminal.reports("state=clear"), [
      "state=idle:app=codex ST",
      "state=clear ST",
    ]);
  });

  Deno.test(
    { name: `${who} Claude Code reports when it is answered`, ignore },
    async () => {
      await using kit = new Kit(isReal);
      const argv = [...CLAUDE, "#ask=touch x"];
      const answer = "\x1b]7501;?\x07" + ATTRIBUTES;
      const terminal = await open(kit, argv, answer);
      await using _ = terminal.window;
      const first = await terminal.reports("state=blocked");
      assertEquals(first.slice(-2), [
        "state=working:app=claude-code BEL",
        `state=blocked:app=claude-code:kind=permission:msg=${
          text("approve Bash: touch x")
        } BEL`,
      ]);
      await terminal.press("\r");
      assertEquals(await terminal.reports("state=done"), [
        "state=working:app=claude-code BEL",
        "state=done:app=claude-code BEL",
      ]);
      await terminal.prompt("#error=429");
      assertEquals(await terminal.reports("state=error"), [
        "state=working:app=claude-code BEL",
        `state=error:app=claude-code:msg=${
          text("API Error: Request rejected (429) · stand-in error")
        } BEL`,
      ]);
    },
  );

  Deno.test(
    { name: `${who} Claude Code is silent when it is not answered`, ignore },
    async () => {
      await using kit = new Kit(isReal);
      const argv = [...CLAUDE, "#answer=over"];
      // The other way round is no answer.
      const answer = ATTRIBUTES + "\x1b]7501;?\x07";
      const terminal = await open(kit, argv, answer);
      await using _ = terminal.window;
      await terminal.window.shows(/over(?![^]*Working)/, DEADLINE_MS);
      assertEquals([...terminal.window.output.matchAll(REPORT)], []);
    },
  );
}
