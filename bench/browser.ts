/**
 * A browser for figures of the page: Debian's Chromium without a window, driven by the DevTools protocol
 * (https://chromedevtools.github.io/devtools-protocol/).
 *
 * @module
 */
import { type Bench, until } from "./measure.ts";

const CHROMIUM = ["/usr/bin/chromium", "/usr/bin/chromium-browser"];

/** A page in a browser. */
export interface Page {
  /** Loads an address. */
  goTo(url: string): Promise<void>;
  /** The value of an expression in the page; of a promise, what it resolves to. */
  evaluate(expression: string): Promise<unknown>;
  /** Runs a script in each document from now on, before its own. */
  runFirst(script: string): Promise<void>;
  /** Presses and releases the key of a letter. */
  press(letter: string): Promise<void>;
}

type Json = Readonly<Record<string, unknown>>;

/** A browser that runs. Its processes are the bench's. */
export class Browser implements AsyncDisposable {
  readonly #socket: WebSocket;
  readonly #answers = new Map<number, PromiseWithResolvers<Json>>();
  #count = 0;

  private constructor(socket: WebSocket) {
    this.#socket = socket;
    socket.onmessage = ({ data }) => {
      const { id, result, error } = JSON.parse(data);
      const answer = this.#answers.get(id);
      this.#answers.delete(id);
      if (error !== undefined) answer?.reject(new Error(error.message));
      else answer?.resolve(result);
    };
    socket.onclose = () => {
      for (const { reject } of this.#answers.values()) {
        reject(new Error("The browser has ended"));
      }
    };
  }

  /** Starts one; undefined where there is none. */
  static async start(bench: Bench): Promise<Browser | undefined> {
    const program = CHROMIUM.find((path) => exists(path));
    if (program === undefined) return undefined;
    const home = `${bench.dir}/browser`;
    const child = new Deno.Command(program, {
      args: [
        "--headless=new",
        // Root may not use the sandbox, and it shows our own page only.
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--disable-extensions",
        "--no-first-run",
        "--remote-debugging-port=0",
        `--user-data-dir=${home}`,
        "--window-size=1000,700",
        "about:blank",
      ],
      env: { ...bench.env, HOME: home },
      stdin: "null",
      stdout: "null",
      stderr: "null",
    }).spawn();
    child.unref();
    const told = `${home}/DevToolsActivePort`;
    const [port, path] = await until(() => {
      const lines = exists(told) && Deno.readTextFileSync(told).split("\n");
      return lines && lines.length >= 2 && lines;
    }, "Chromium to start");
    const socket = new WebSocket(`ws://127.0.0.1:${port}${path}`);
    await new Promise((resolve, reject) => {
      socket.onopen = resolve;
      socket.onerror = () => reject(new Error("Cannot reach Chromium"));
    });
    return new Browser(socket);
  }

  #ask(method: string, params: Json = {}, sessionId?: string): Promise<Json> {
    const id = ++this.#count;
    const answer = Promise.withResolvers<Json>();
    this.#answers.set(id, answer);
    this.#socket.send(JSON.stringify({ id, method, params, sessionId }));
    return answer.promise;
  }

  /** A page with a cookie jar of its own. */
  async open(): Promise<Page> {
    const { browserContextId } = await this.#ask("Target.createBrowserContext");
    const { targetId } = await this.#ask("Target.createTarget", {
      url: "about:blank",
      browserContextId,
    });
    const { sessionId } = await this.#ask("Target.attachToTarget", {
      targetId,
      flatten: true,
    });
    const ask = (method: string, params: Json = {}) =>
      this.#ask(method, params, String(sessionId));
    await ask("Page.enable");
    return {
      async goTo(url) {
        const { errorText } = await ask("Page.navigate", { url });
        if (errorText !== undefined) throw new Error(`${url}: ${errorText}`);
      },
      async evaluate(expression) {
        const { result, exceptionDetails } = await ask("Runtime.evaluate", {
          expression,
          awaitPromise: true,
          returnByValue: true,
        }) as {
          readonly result: { readonly value?: unknown };
          readonly exceptionDetails?: {
            readonly exception?: { readonly description?: string };
          };
        };
        if (exceptionDetails === undefined) return result.value;
        throw new Error(exceptionDetails.exception?.description);
      },
      async runFirst(source) {
        await ask("Page.addScriptToEvaluateOnNewDocument", { source });
      },
      async press(letter) {
        const key = {
          key: letter,
          code: `Key${letter.toUpperCase()}`,
          windowsVirtualKeyCode: letter.toUpperCase().charCodeAt(0),
        };
        await ask("Input.dispatchKeyEvent", {
          ...{ type: "keyDown", text: letter, ...key },
        });
        await ask("Input.dispatchKeyEvent", { type: "keyUp", ...key });
      },
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#ask("Browser.close").catch(() => {});
    this.#socket.close();
  }
}

function exists(path: string): boolean {
  try {
    Deno.statSync(path);
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}
