import { createSession } from "../../session/create.ts";
import { stopSession } from "../../session/stop.ts";
import { readScreen } from "../../client/terminal.ts";
import { type PageServer, startServer } from "../../web/server.ts";
import {
  assert,
  assertEquals,
  assertMatch,
  TestRoot,
  until,
} from "../helpers.ts";
import { CHROMIUM, type OpenBrowser, openBrowser } from "./browser.ts";

type Page = Awaited<ReturnType<OpenBrowser["page"]>>;

/** The page as its user has it: a server, a browser, sessions. */
class Stage implements AsyncDisposable {
  #server: PageServer;

  private constructor(
    readonly root: TestRoot,
    readonly browser: OpenBrowser,
  ) {
    this.#server = this.#start(0);
  }

  static async open(): Promise<Stage> {
    return new Stage(new TestRoot(), await openBrowser());
  }

  #start(port: number): PageServer {
    return startServer({
      ...{ host: "127.0.0.1", port, root: this.root.dir, home: "/" },
      ...{ version: "1", readOnly: false },
      report: (error) => this.browser.errors.push(String(error)),
    });
  }

  /** Another server takes the place of the one that is there; its token is another one, too. */
  async restart(): Promise<void> {
    const { port } = this.#server;
    await this.#server.stop();
    this.#server = this.#start(port);
  }

  url(id: string, { looks = false } = {}): string {
    const { port, token, lookToken } = this.#server;
    const shown = looks ? lookToken : token;
    return `http://127.0.0.1:${port}/?token=${shown}#/${id}`;
  }

  /** A session with a terminal. */
  async terminal(id: string, script: string): Promise<void> {
    await createSession({
      ...{ id, root: this.root.dir, kind: "pty" },
      command: ["sh", "-c", script],
    });
  }

  /** What the session's own screen holds. */
  async screenOf(id: string): Promise<string> {
    return (await readScreen(id, { root: this.root.dir })).lines.join("\n");
  }

  /** A tab with cookies of its own. */
  async page(
    id: string,
    { looks = false, width = 1000, height = 700 } = {},
  ): Promise<Page> {
    const context = await this.browser.browser.createBrowserContext();
    const page = await context.newPage();
    page.on("pageerror", (e) => this.browser.errors.push(String(e)));
    // A violation of the policy comes as such an error, too.
    page.on("console", (message) => {
      if (message.type() === "error") this.browser.errors.push(message.text());
    });
    // In the light, colours that are too pale for it are changed.
    await page.emulateMediaFeatures([
      { name: "prefers-color-scheme", value: "dark" },
    ]);
    const isMobile = width < 500;
    await page.setViewport({ width, height, isMobile, hasTouch: isMobile });
    await page.goto(this.url(id, { looks }));
    return page;
  }

  /** Leaves all tabs. */
  async closePages(): Promise<void> {
    const { browser } = this.browser;
    const own = browser.browserContexts().filter(({ id }) => id !== undefined);
    await Promise.all(own.map((context) => context.close()));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server.stop();
    await this.browser[Symbol.asyncDispose]();
    await this.root[Symbol.asyncDispose]();
  }
}

const SCREEN =
  `[...document.querySelectorAll(".xterm-rows > div")].map((row) => row.textContent.trimEnd()).join("\\n").trim()`;
const WORD = `document.querySelector(".session-word")?.textContent`;
const LINK = `document.querySelector(".session-link:not([hidden])")?.innerText`;
const COUNT = `document.querySelector(".log-count").textContent`;
const FOLLOWS =
  `document.querySelector(".log-tools > button").getAttribute("aria-pressed")`;

/** Waits until what the expression gives in the page matches. */
async function shows(
  page: Page,
  expression: string,
  pattern: RegExp,
): Promise<void> {
  let seen: unknown;
  await until(async () => {
    seen = await page.evaluate(expression);
    return typeof seen === "string" && pattern.test(seen);
  }).catch(() => {});
  assertMatch(String(seen), pattern);
}

async function typeInto(page: Page, text: string): Promise<void> {
  await page.waitForSelector(".xterm-helper-textarea");
  await page.focus(".xterm-helper-textarea");
  await page.keyboard.type(text);
}

/** Shows what it reads, and how large its window is. */
const READER =
  'stty -echo; echo ready; while read -r line; do echo "got $line, $(stty size)"; done';

/** Shows what it reads, byte by byte; it wants pastes and application cursor keys told apart. */
const KEYS =
  "stty raw -echo; printf '\\033[?2004h\\033[?1hready\\r\\n'; exec cat -v";

const HOSTILE = [
  "\\033]0;<img src=x>title\\007\\033]52;c;aGFja2Vk\\007",
  "\\033]8;;https://example.com/<b>\\033\\\\web\\033]8;;\\033\\\\ ",
  "\\033]8;;file:///etc/passwd\\033\\\\file\\033]8;;\\033\\\\\\n",
  "<img src=x onerror=alert(1)> \\033[38;2;1;200;3mgreen\\033[0m\\n",
].join("");

/** It would keep xterm.js busy for minutes. */
const LOOPS = "x\\033[2147483647b\\033[2147483647L\\033[H\\033[2J";

const TESTS: Readonly<Record<string, (stage: Stage) => Promise<void>>> = {
  "a terminal is typed into, resized, and the same after the server's restart":
    async (stage) => {
      await stage.terminal("a", READER);
      const page = await stage.page("a");
      await shows(page, SCREEN, /^ready/);
      await typeInto(page, "one\n");
      await shows(page, SCREEN, /got one, \d+ \d+$/);
      await page.setViewport({ width: 800, height: 500 });
      await until(async () => {
        await typeInto(page, "two\n");
        const sizes = [...(await stage.screenOf("a")).matchAll(/, (.*)/g)];
        return new Set(sizes.map(([, size]) => size)).size > 1;
      }, "another size");
      await typeInto(page, "end\n");
      await shows(page, SCREEN, /got end, \d+ \d+$/);
      const before = await page.evaluate(SCREEN);

      await stage.restart();
      await shows(page, WORD, /^This page's server has ended/);
      assertEquals(await page.evaluate(SCREEN), before);
      await page.goto(stage.url("a"));
      await shows(page, SCREEN, /^ready[^a-z]*\ngot one/);
      await typeInto(page, "three\n");
      await shows(page, SCREEN, /got three/);
      // Attempts have failed in between.
      stage.browser.errors.length = 0;
    },

  "a program's output stays text; a link is shown, then opened": async (
    stage,
  ) => {
    await stage.terminal(
      "b",
      `stty -echo; printf '${HOSTILE}'; read -r x; printf '${LOOPS}still here'; read -r x`,
    );
    const page = await stage.page("b");
    await shows(
      page,
      SCREEN,
      /^web file\n<img src=x onerror=alert\(1\)> green/,
    );
    const elements = `document.querySelectorAll(".view img, .list img").length`;
    assertEquals(await page.evaluate(elements), 0);
    const color = `[...document.querySelectorAll(".xterm-rows span")]
      .find((span) => span.textContent === "green").style.color`;
    assertEquals(await page.evaluate(color), "rgb(1, 200, 3)");

    const place = await (await page.$(".xterm-rows > div"))!.boundingBox();
    const { x, y, height } = place!;
    const hover = async (column: number) => {
      await page.mouse.move(x + column, y + height / 2);
      await page.mouse.move(x + column + 1, y + height / 2);
    };
    await hover(10);
    await shows(page, LINK, /^example\.com\nhttps:\/\/example\.com\/%3Cb%3E$/);
    await page.mouse.click(x + 10, y + height / 2);
    await shows(page, LINK, /Open/);
    assertEquals((await page.browserContext().pages()).length, 1);
    // Who goes on typing opens nothing.
    await page.keyboard.type("y\n");
    assertEquals((await page.browserContext().pages()).length, 1);
    await hover(50);
    await hover(200);
    assertEquals(await page.evaluate(LINK) ?? "", "");

    await typeInto(page, "\n");
    await shows(page, SCREEN, /^still here$/);
  },

  "a phone looks first, takes over by typing, and has the keys it lacks":
    async (stage) => {
      await stage.terminal("c", KEYS);
      const desk = await stage.page("c");
      await shows(desk, SCREEN, /^ready/);
      const phone = await stage.page("c", { width: 360, height: 740 });
      await shows(phone, WORD, /^Only looking/);
      await shows(phone, SCREEN, /^ready/);
      const width = "document.documentElement.scrollWidth";
      assertEquals(await phone.evaluate(width), 360);
      const least = `Math.min(...[...document.querySelectorAll(
        ".key-bar button")].flatMap((b) => [b.offsetWidth, b.offsetHeight]))`;
      assert(await phone.evaluate(least) as number >= 40);
      const { columns } = await readScreen("c", { root: stage.root.dir });

      const press = (name: string) => phone.tap(`[aria-label="${name}"]`);
      // The first key takes over, no more: what it would choose is not on the screen perhaps.
      await press("Enter");
      await shows(phone, WORD, /^$/);
      await until(async () =>
        (await readScreen("c", { root: stage.root.dir })).columns < columns
      );
      for (const name of ["Up", "Escape", "Shift Tab", "Control C", "Left"]) {
        await press(name);
      }
      await press("Control, for the next key");
      await press("Right");
      await shows(
        phone,
        SCREEN,
        /^ready\n\^\[OA\^\[\^\[\[Z\^C\^\[OD\^\[\[1;5C/,
      );
      const focus = `document.activeElement.closest(".xterm") === null`;
      assertEquals(await phone.evaluate(focus), true);
      await press("Control, for the next key");
      await typeInto(phone, "xy");
      await shows(phone, SCREEN, /\^Xy$/);
    },

  "a phone that only looks sees the end of a larger window, and swipes in all of it":
    async (stage) => {
      const question =
        "\\033[?1049h\\033[?25ltop\\033[35;100Hright\\033[36;1Hquestion";
      await stage.terminal(
        "h",
        `stty raw -echo; printf '${question}'; exec cat -v`,
      );
      const phone = await stage.page("h", { width: 360, height: 740 });
      const isSeen = (text: string) =>
        `(() => {
          const place = document.querySelector(".session-screen").getBoundingClientRect();
          const row = [...document.querySelectorAll(".xterm-rows > div")]
            .find((row) => row.textContent.includes("${text}"));
          if (row === undefined) return "not there";
          const range = document.createRange();
          range.selectNodeContents(row.lastElementChild);
          const { top, bottom, right } = range.getBoundingClientRect();
          return String(top >= place.top && bottom < place.bottom + 1 && right <= place.right);
        })()`;
      await shows(phone, WORD, /^Only looking/);
      await shows(phone, isSeen("question"), /true/);
      await shows(phone, isSeen("right"), /false/);
      const swipe = async (x: number, y: number) => {
        await phone.touchscreen.touchStart(180, 400);
        for (const part of [0.25, 0.5, 0.75, 1]) {
          await phone.touchscreen.touchMove(180 + x * part, 400 + y * part);
        }
        await phone.touchscreen.touchEnd();
      };
      for (let i = 0; i < 4; i++) await swipe(-150, 0);
      await shows(phone, isSeen("right"), /true/);
      for (let i = 0; i < 4; i++) await swipe(150, 150);
      await shows(phone, isSeen("top"), /true/);
      await swipe(0, 150);
      await shows(phone, WORD, /^Only looking/);
      // Another client changes the size, and the phone follows.
      const desk = await stage.page("h");
      await shows(desk, SCREEN, /question/);
      await typeInto(desk, "x");
      await shows(desk, SCREEN, /questionx$/);
      const count =
        `String(document.querySelectorAll(".xterm-rows > div").length)`;
      const { rows } = await readScreen("h", { root: stage.root.dir });
      await shows(phone, count, new RegExp(`^${rows}$`));
    },

  "a paste is told as one, and can't end by itself": async (stage) => {
    await stage.terminal("d", KEYS);
    const page = await stage.page("d");
    await shows(page, SCREEN, /^ready/);
    // Without a permission there is no clipboard: the field takes its place.
    await page.setViewport({ width: 400, height: 700 });
    await page.waitForSelector(".key-bar button");
    await page.click('.key-bar [aria-label="Paste"]');
    await page.waitForSelector(".session-paste:not([hidden])");
    await page.evaluate(
      `document.querySelector(".session-paste textarea").value = "a\\u001b[201~b\\nc"`,
    );
    await page.click(".session-paste .primary");
    await shows(page, SCREEN, /\^\[\[200~a\[201~b\^Mc\^\[\[201~/);
  },

  "a read-only viewer sees all and types nothing": async (stage) => {
    await stage.terminal("e", READER);
    const page = await stage.page("e", { looks: true });
    await shows(page, SCREEN, /^ready/);
    await shows(page, WORD, /^Read-only/);
    await typeInto(page, "no\n");
    const full = await stage.page("e");
    await shows(full, SCREEN, /^ready/);
    await typeInto(full, "yes\n");
    await shows(page, SCREEN, /got yes/);
    assertEquals((await stage.screenOf("e")).includes("no"), false);
  },

  "a session that ends shows its last screen and says so": async (stage) => {
    await stage.terminal("f", "printf '\\033[?1049hlast words'; read -r end");
    const page = await stage.page("f");
    await shows(page, SCREEN, /^last words$/);
    await stopSession("f", { root: stage.root.dir });
    await shows(page, WORD, /^Ended: .*last screen/);
    await shows(page, SCREEN, /^last words$/);
  },

  "a log of 100,000 lines is followed and searched": async (stage) => {
    const { dir } = stage.root;
    const script = `seq 100000; echo oops >&2; read -r line; echo more $line`;
    await createSession({
      ...{ id: "g", root: dir, kind: "repl" },
      command: ["sh", "-c", script],
    });
    const page = await stage.page("g");
    const view = `document.querySelector(".log-view")?.innerText.slice(-200)`;
    await shows(page, view, /100000\n/);
    const errors = `document.querySelector(".run.stderr")?.textContent`;
    await shows(page, errors, /^stderr: oops\n$/);
    await page.focus(".log-view");
    await page.keyboard.press("/");
    await page.keyboard.type("7777");
    // 7777, ?7777 and 7777?: those with it twice count once.
    await shows(page, COUNT, /^\d+ of 19$/);
    await shows(page, FOLLOWS, /false/);
    const first = await page.evaluate(COUNT);
    await page.keyboard.press("Enter");
    await page.keyboard.down("Shift");
    await page.keyboard.press("Enter");
    await page.keyboard.up("Shift");
    assertEquals(await page.evaluate(COUNT), first);
    await page.keyboard.press("Escape");
    await page.keyboard.press("End");
    await shows(page, FOLLOWS, /true/);
  },
};

Deno.test({
  name: `a session in a browser${CHROMIUM ? "" : " (needs Chromium)"}`,
  ignore: CHROMIUM === undefined,
  async fn(t) {
    await using stage = await Stage.open();
    for (const [name, test] of Object.entries(TESTS)) {
      await t.step(name, async () => {
        await test(stage);
        assertEquals(stage.browser.errors, []);
      });
      stage.browser.errors.length = 0;
      await stage.closePages();
    }
  },
});
