/**
 * Helpers of tests of terminals: sessions with a terminal, and windows, which are real
 * pseudo-terminals that show a program such as a client.
 *
 * @module
 */
import { type ChildStatus, endOf, signalChild } from "../process/child.ts";
import {
  close,
  open,
  poll,
  POLLIN,
  readNow,
  writeNow,
} from "../system/libc.ts";
import { isCanonical, openPty, setWindowSize } from "../system/pty.ts";
import { startAgent } from "../relay/agent.ts";
import { relayCommand, type RelayCommandOptions } from "../relay/command.ts";
import { Screen } from "../screen/screen.ts";
import { launch, type ProcessOptions } from "../spawn.ts";
import { newMeta, type Paths, pathsFor } from "../store.ts";
import { prepare } from "../process/prepare.ts";
import { PROJECT, until } from "./helpers.ts";

/** Starts a terminal session that runs `argv` and returns its paths. */
export async function startTerminal(
  root: string,
  id: string,
  argv: readonly string[],
  options: Partial<RelayCommandOptions> & ProcessOptions = {},
): Promise<Paths> {
  const paths = pathsFor(id, { root });
  Deno.mkdirSync(paths.dir, { recursive: true, mode: 0o700 });
  const { env } = options;
  const command = relayCommand({ dir: paths.dir, argv, ...options });
  const meta = newMeta({ id, kind: "pty", argv, cwd: root });
  await launch(paths, prepare(paths, meta), {
    argv: command,
    cwd: root,
    env,
    clearEnv: options.clearEnv,
    relay: true,
  });
  return paths;
}

/** A program on a pseudo-terminal of its own, as in a user's terminal window. */
export class TestWindow implements AsyncDisposable {
  readonly screen: Screen;
  /** Everything that the program has written, as text. */
  output = "";
  status: ChildStatus | undefined;
  readonly #slavePath: string;
  readonly #master: number;
  readonly #slave: number;
  #child: Deno.ChildProcess | undefined;
  #reading: Promise<void> | undefined;
  #closed = false;
  #paused = false;

  private constructor(columns: number, rows: number) {
    this.screen = new Screen(columns, rows);
    const { master, slavePath } = openPty();
    setWindowSize(master, columns, rows);
    this.#master = master;
    this.#slave = open(slavePath, { access: "both" });
    this.#slavePath = slavePath;
  }

  /** Opens a window and starts `argv` in it. */
  static async open(
    argv: readonly string[],
    options: { columns?: number; rows?: number; env?: Record<string, string> } =
      {},
  ): Promise<TestWindow> {
    const { columns = 80, rows = 24, env = {} } = options;
    const window = new TestWindow(columns, rows);
    await window.screen.load();
    const started = await startAgent(window.#slavePath, argv, {
      env: { TERM: "xterm-256color", ...env },
    });
    if ("failure" in started) throw new Error(`status ${started.failure}`);
    window.#child = started.child;
    endOf(started.child).then((status) => window.status = status);
    window.#reading = window.#read();
    return window;
  }

  async #read(): Promise<void> {
    const buffer = new Uint8Array(65536);
    const decoder = new TextDecoder();
    while (!this.#closed) {
      if (this.#paused) {
        await new Promise((wake) => setTimeout(wake, 5));
        continue;
      }
      await poll(this.#master, POLLIN, 20);
      // A limit, because a program that never pauses would stop everything else here.
      for (let turn = 0; turn < 8; turn++) {
        const count = readNow(this.#master, buffer);
        if (count <= 0) break;
        const bytes = buffer.slice(0, count);
        this.output += decoder.decode(bytes, { stream: true });
        this.screen.append(bytes);
        if (this.screen.isBehind) this.screen.catchUp();
      }
    }
  }

  /** Whether programs get keys as they are typed, not whole lines: raw mode. */
  get isRaw(): boolean {
    return !isCanonical(this.#master);
  }

  /** Stops reading, as a frozen terminal does. */
  set paused(paused: boolean) {
    this.#paused = paused;
  }

  get pid(): number {
    return this.#child!.pid;
  }

  type(text: string): void {
    writeNow(this.#master, new TextEncoder().encode(text));
  }

  resize(columns: number, rows: number): void {
    this.screen.resize(columns, rows);
    setWindowSize(this.#master, columns, rows);
  }

  /** The text of the screen. */
  get text(): string {
    return this.screen.text().lines.join("\n");
  }

  /** Waits until the screen shows text that matches. */
  async shows(pattern: RegExp, deadlineMs?: number): Promise<void> {
    try {
      await until(() => pattern.test(this.text), String(pattern), deadlineMs);
    } catch (error) {
      throw new Error(`${error}; the screen is:\n${this.text}`);
    }
  }

  /** Waits for the end of the program. */
  async ended(deadlineMs?: number): Promise<ChildStatus> {
    return await until(() => this.status, "the program's end", deadlineMs);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child !== undefined) {
      signalChild(this.#child, "SIGKILL");
      await endOf(this.#child);
    }
    this.#closed = true;
    await this.#reading;
    close(this.#slave);
    close(this.#master);
  }
}

/** The command line of a client that attaches, see client/attach_main.ts. */
export function attachCommand(
  root: string,
  id: string,
  ...options: string[]
): string[] {
  const main = `${PROJECT}tests/client/attach_main.ts`;
  return [
    Deno.execPath(),
    "run",
    "-A",
    "--no-lock",
    main,
    root,
    id,
    ...options,
  ];
}
