/**
 * The relay: the process that owns the terminal of one `pty` session.
 *
 *     creator ── sh (reaper) ── relay ── agent   (leads a session of its own)
 *                                 ├── stdout.log    (the journal)
 *                                 ├── attach.sock   (clients)
 *                                 └── terminal.json (size, clients; screen.json at the end)
 *
 * The reaper starts it in the agent's place. It makes sure that it needs no network from now
 * on, opens the pseudo-terminal, starts the agent on it, and reports the agent's exec on
 * descriptor 9. Then it reads: all output goes to the journal, to the clients, and to
 * the screen's backlog, which the emulator draws only on demand. The loop never waits for a
 * client, nor for the agent to read.
 *
 * It ends as the agent ended. Until it starts the agent, any signal ends it, and nothing is
 * started. From then on signals don't end it: stopping a session signals all its
 * processes, and the agent has a grace period. SIGKILL does; that closes the terminal,
 * and the agent gets SIGHUP.
 *
 *     relay.ts DIR COLSxROWS [--log-limit BYTES] [--await-client] -- ARGV…
 *
 * Does nothing when imported.
 *
 * @module
 */
import { messageOf } from "../errors.ts";
import { type ChildStatus, endOf } from "../process/child.ts";
import {
  type AgentEnvironment,
  agentVariables,
  unpackEnvironment,
} from "../process/environment.ts";
import { endAs, hasProgram, startAgent } from "./agent.ts";
import { Allowance } from "./allowance.ts";
import { Journal, LOG_LIMIT_BYTES } from "./journal.ts";
import { Observer } from "./observer.ts";
import { RelayServer } from "./server.ts";
import { listenIn, SOCKET } from "./socket.ts";
import { Turns } from "./typing.ts";
import { PtyWriter } from "./writer.ts";
import type { Query } from "../screen/backlog.ts";
import { fetchEmulator } from "../screen/emulator.ts";
import { cutQueryLength } from "../screen/program_status.ts";
import { answer, answerStatus, needsScreen } from "../screen/query.ts";
import { MIN_COLUMNS, Screen } from "../screen/screen.ts";
import { SCROLLBACK } from "../screen/screen_text.ts";
import { parseArgs } from "../std.ts";
import { sleep, within } from "../system/async.ts";
import { placeAt, writeAtomic } from "../system/files.ts";
import {
  close,
  getenv,
  open,
  poll,
  POLLIN,
  readNow,
  resetSignal,
  setCloseOnExec,
  trimMemory,
  write,
} from "../system/libc.ts";
import { eraseCharacters, openPty, setWindowSize } from "../system/pty.ts";
import { SIGNALS } from "../system/signals.ts";

/** The descriptor on which the reaper waits for the report about the exec. */
const REPORT_FD = 9;
/** Output is handled in batches of at most this many bytes: many reads, one write to each receiver. */
const BATCH_BYTES = 128 * 1024;
/** How long to wait before a failed read or write is tried again, in milliseconds. */
const RETRY_MS = 1000;
/** How long the agent's start may wait for the first client; it may have been killed. */
const CLIENT_MS = 5000;
/** How long without output until memory is given back, in milliseconds. */
const IDLE_MS = 1000;
/** Questions that are answered in one batch; a program may ask for all 256 colours at once. */
const MAX_QUESTIONS = 512;
/**
 * Queries of OSC 7501 that are answered in a second. The answer is the query: a program that types
 * back whatever it gets would ask again with each answer.
 */
const STATUS_ANSWERS_PER_SECOND = 8;
/** While the program has more unread input than this, in bytes, its questions are not answered. */
const MAX_UNREAD_ANSWERS = 16 * 1024;

/**
 * Signals that end a process by default and can be caught: what ends the agent must not end the
 * relay. SIGXFSZ is one of its own, and ignored until here: while the agent starts, what this
 * process ignores would have its default effect.
 */
// deno-fmt-ignore
const SURVIVED: readonly Deno.Signal[] = [
  "SIGHUP", "SIGINT", "SIGQUIT", "SIGTERM", "SIGUSR1", "SIGUSR2", "SIGALRM", "SIGTRAP",
  "SIGXCPU", "SIGXFSZ", "SIGVTALRM", "SIGPROF", "SIGIO", "SIGSYS",
];

interface RelayOptions {
  readonly dir: string;
  readonly columns: number;
  readonly rows: number;
  readonly logLimitBytes: number;
  readonly awaitClient: boolean;
  readonly argv: readonly string[];
}

/** The command line that {@linkcode relayCommand} makes. */
function parse(args: readonly string[]): RelayOptions {
  const parsed = parseArgs(args, {
    string: ["_", "log-limit"],
    boolean: ["await-client"],
    "--": true,
  });
  const { _: [dir, size = ""], "--": argv, "log-limit": limit } = parsed;
  const match = /^(\d{1,4})x(\d{1,4})$/.exec(String(size));
  if (dir === undefined || match === null || argv.length === 0) {
    throw new TypeError(
      "Usage: relay DIR COLSxROWS [--log-limit BYTES] [--await-client] -- ARGV…",
    );
  }
  return {
    dir: String(dir),
    argv,
    columns: Math.max(MIN_COLUMNS, Number(match[1]) || 120),
    rows: Number(match[2]) || 40,
    logLimitBytes: Number(limit ?? LOG_LIMIT_BYTES),
    awaitClient: parsed["await-client"] === true,
  };
}

/**
 * Reports an error in `stderr.log`; the creator of a session that does not
 * start prints it (see spawn.ts). Never fails: the disk may be full.
 */
function complain(error: unknown): void {
  try {
    console.error(`codex-session relay: ${messageOf(error)}`);
  } catch {
    // There is no room for it.
  }
}

/** Keeps an uncaught error from ending this process, which would close the agent's terminal. */
function goOnWhateverFails(): void {
  addEventListener("unhandledrejection", (event) => {
    event.preventDefault();
    complain(event.reason);
  });
  addEventListener("error", (event) => {
    event.preventDefault();
    complain(event.error);
  });
}

/** Reports to the creator whether the agent's exec succeeded. */
function report(text: string): void {
  try {
    try {
      write(REPORT_FD, new TextEncoder().encode(`${text}\n`));
    } finally {
      close(REPORT_FD); // In any case: the creator waits for that.
    }
  } catch {
    // Nobody waits: it was not started by a reaper.
  }
}

/** Runs a relay with the arguments that {@linkcode relayCommand} has made; then ends the process. */
export async function runRelay(args: readonly string[]): Promise<never> {
  let relay: Relay;
  try {
    // The agent must not inherit it, or the creator would wait until the agent ends.
    try {
      setCloseOnExec(REPORT_FD);
    } catch (error) {
      if (!(error instanceof Deno.errors.BadResource)) throw error;
      // There is none.
    }
    const options = parse(args);
    // Before the agent starts: if this fails, nothing has happened yet.
    await fetchEmulator();
    // Ignored so far, see spawn.ts; every signal ends a relay that has not started its agent.
    resetSignal(SIGNALS.HUP!);
    relay = new Relay(options);
    const started = await relay.start();
    if ("failure" in started) {
      report(String(started.failure));
      Deno.exit(started.failure);
    }
    report("ok");
    goOnWhateverFails();
    return endAs(await relay.run(started.child));
  } catch (error) {
    complain(error);
    report("1");
    Deno.exit(1);
  }
}

class Relay {
  readonly #options: RelayOptions;
  readonly #master: number;
  readonly #slavePath: string;
  readonly #screen: Screen;
  readonly #writer: PtyWriter;
  readonly #journal: Journal;
  readonly #server: RelayServer;
  readonly #observer: Observer;
  /** Whether the session's path still means its directory. The agent can move that away. */
  readonly #isInPlace: () => boolean;
  readonly #statusAnswers = new Allowance(STATUS_ANSWERS_PER_SECOND);
  readonly #environment: AgentEnvironment = unpackEnvironment();
  #listener: Deno.Listener | undefined;
  readonly #buffer = new Uint8Array(BATCH_BYTES);
  /** The end of the output that was read: what may begin a query that no client is to get. */
  #rest = new Uint8Array(0);
  #stateTimer = false;
  #hasComplained = false;
  #isBlind = false;
  #isIdle = false;
  #saving = false;
  #over = false;
  /** The first signal since it survives them: somebody wants the session to end. */
  readonly #asked = Promise.withResolvers<void>();
  #isAsked = false;

  constructor(options: RelayOptions) {
    const { dir, argv, columns, rows, logLimitBytes } = options;
    this.#options = options;
    this.#isInPlace = placeAt(dir);
    const { master, slavePath } = openPty();
    this.#master = master;
    this.#slavePath = slavePath;
    setWindowSize(master, columns, rows);
    // Kept open: without any open slave a master gives EIO, even while the agent, which
    // has closed its terminal, still runs and may open /dev/tty again.
    const slave = open(slavePath, { access: "both" });
    eraseCharacters(slave);
    this.#observer = new Observer({
      ...{ dir, argv, master, isInPlace: this.#isInPlace },
      env: agentVariables(getenv, this.#environment),
    });
    this.#screen = new Screen(
      columns,
      rows,
      (told) => this.#observer.note(told),
    );
    this.#writer = new PtyWriter(master);
    this.#journal = new Journal(
      `${dir}/stdout.log`,
      logLimitBytes,
      complain,
    );
    this.#server = new RelayServer({
      master,
      slave,
      screen: this.#screen,
      writer: this.#writer,
      turns: new Turns(),
      onChange: (isUrgent) =>
        isUrgent ? this.#writeState() : this.#writeStateSoon(),
      beforeInput: () => this.#observer.input(),
      onInput: () => this.#noteInput(),
      onClients: (what, count) => this.#observer.clients(what, count),
      onFailure: complain,
      onWork: () => {
        this.#isIdle = false;
        this.#saveMemorySoon();
      },
    });
  }

  async start(): ReturnType<typeof startAgent> {
    const { dir, argv, awaitClient } = this.#options;
    this.#listener = listenIn(dir);
    this.#server.serve(this.#listener).catch(complain);
    const environment = this.#environment;
    // A client that waits for nothing would only clear its user's screen.
    if (awaitClient && hasProgram(argv, environment)) {
      await within(CLIENT_MS, this.#server.hasClient);
    }
    this.#surviveSignals();
    const started = await startAgent(this.#slavePath, argv, environment);
    if ("child" in started) {
      this.#observer.agentPid = started.child.pid;
    }
    this.#writeState();
    return started;
  }

  /** Handles signals. It doesn't ignore them: the agent would inherit that. */
  #surviveSignals(): void {
    for (const signal of SURVIVED) {
      Deno.addSignalListener(signal, () => {
        if (signal === "SIGXFSZ") return; // Caused by a write of its own.
        this.#isAsked = true;
        this.#asked.resolve();
      });
    }
  }

  /** Relays until the agent has ended. */
  async run(child: Deno.ChildProcess): Promise<ChildStatus> {
    // It waits in poll(2) on another thread, which ends with the process.
    this.#readOn().catch(complain);
    const status = await endOf(child);
    this.#over = true;
    // The output that the agent wrote before its end. Others may go on writing: not for long.
    const deadline = performance.now() + 2000;
    try {
      while (performance.now() < deadline && await this.#readBatch() > 0);
      if (this.#rest.length > 0) await this.#take(this.#rest);
      this.#writer.close();
      this.#listener?.close();
      await this.#server.end();
      this.#observer.end();
      if (this.#stateTimer) this.#writeState();
      await this.#writeScreen();
    } catch (error) {
      complain(error); // The agent's ending must be recorded all the same.
    }
    try {
      if (this.#isInPlace()) {
        Deno.removeSync(`${this.#options.dir}/${SOCKET}`);
      }
    } catch {
      // The directory may be gone already: --rm, delete -f.
    }
    return status;
  }

  async #readOn(): Promise<void> {
    this.#saveMemorySoon();
    while (!this.#over) {
      await poll(this.#master, POLLIN, -1);
      if (this.#over) return;
      try {
        const count = await this.#readBatch();
        if (count < 0) return; // The terminal is gone; the agent will end.
      } catch (error) {
        // Go on in any case: an agent whose output is not read stands still.
        complain(error);
        await sleep(RETRY_MS);
      }
      this.#isIdle = false;
      this.#saveMemorySoon();
    }
  }

  /** Gives memory back once there was no output for a while. */
  #saveMemorySoon(): void {
    if (this.#saving) return;
    this.#saving = true;
    const look = () => {
      if (this.#isIdle) {
        this.#saving = false;
        // V8 collects only when it needs more. Our flags include --expose-gc.
        const { gc } = globalThis as { gc?: (options: object) => void };
        gc?.({ type: "major", execution: "sync", flavor: "last-resort" });
        trimMemory();
        return;
      }
      this.#isIdle = true;
      setTimeout(look, IDLE_MS);
    };
    look();
  }

  /** Handles the output that is there, at most a batch; 0 if there is none, -1 at the end. */
  async #readBatch(): Promise<number> {
    const buffer = this.#buffer;
    buffer.set(this.#rest);
    const before = this.#rest.length;
    let length = before;
    let end = 0;
    while (length < BATCH_BYTES) {
      const count = readNow(this.#master, buffer.subarray(length));
      if (count < 0) {
        end = count;
        break;
      }
      length += count;
    }
    if (length === before) return end === -2 ? -1 : 0;
    const complete = length - cutQueryLength(buffer.subarray(0, length));
    this.#rest = buffer.slice(complete, length);
    if (complete > 0) await this.#take(buffer.subarray(0, complete));
    return length - before;
  }

  async #take(bytes: Uint8Array): Promise<void> {
    const screen = this.#screen;
    const offset = screen.offset;
    const wasAlternate = screen.modes.alternate;
    const queries = screen.append(bytes);
    const { hasDropped } = this.#journal;
    this.#journal.write(bytes, screen.isAtGround);
    if (
      this.#journal.hasDropped !== hasDropped ||
      screen.modes.alternate !== wasAlternate
    ) this.#writeStateSoon();
    // Before any client's terminal can answer: the answers to other questions end the wait for this.
    if (queries.length > 0) this.#answerStatus(queries);
    this.#server.broadcast(bytes, offset, queries);
    // No client waits for files.
    this.#observer.handle(screen.modes.title);
    if (queries.length > 0 && !this.#server.isAnswered) {
      await this.#answer(queries.slice(0, MAX_QUESTIONS));
    }
    if (screen.isBehind) {
      if (await this.#loadScreen()) screen.catchUp();
      else screen.forget();
    }
  }

  /** Loads the emulator. If that fails now, the session goes on without a screen. */
  async #loadScreen(): Promise<boolean> {
    try {
      await this.#screen.load();
      return true;
    } catch (error) {
      if (!this.#isBlind) complain(error);
      this.#isBlind = true;
      return false;
    }
  }

  #answerStatus(queries: readonly Query[]): void {
    if (this.#writer.waitingBytes > MAX_UNREAD_ANSWERS) return;
    for (const { text } of queries) {
      const reply = answerStatus(text);
      if (reply !== "" && this.#statusAnswers.take()) {
        this.#writer.write(new TextEncoder().encode(reply));
      }
    }
  }

  async #answer(queries: readonly Query[]): Promise<void> {
    // Nothing waits for these writes: a program that asks without reading gets no answers.
    if (this.#writer.waitingBytes > MAX_UNREAD_ANSWERS) return;
    const hasScreen = !queries.some(({ text }) => needsScreen(text)) ||
      await this.#loadScreen();
    let replies = "";
    for (const { text, end } of queries) {
      if (hasScreen || !needsScreen(text)) {
        replies += answer(text, this.#screen, end);
      }
    }
    this.#writer.write(new TextEncoder().encode(replies));
  }

  /** Tells when something was typed, by the socket's time: the cheapest file that there is. */
  #noteInput(): void {
    try {
      const now = new Date();
      if (this.#isInPlace()) {
        Deno.utimeSync(`${this.#options.dir}/${SOCKET}`, now, now);
      }
    } catch {
      // The directory may be gone, or the file system read-only: typing goes on.
    }
  }

  #writeStateSoon(ms = 10): void {
    if (this.#stateTimer) return;
    this.#stateTimer = true;
    setTimeout(() => {
      this.#stateTimer = false;
      if (!this.#over) this.#writeState();
    }, ms);
  }

  #writeState(): void {
    const { columns, rows } = this.#screen;
    const state = {
      agent: this.#observer.agentPid,
      columns,
      rows,
      clients: this.#server.attachedCount,
      // A log whose beginning is gone doesn't tell either; client/plain_log.ts needs them.
      alternate: this.#screen.modes.alternate || undefined,
      dropped: this.#journal.hasDropped || undefined,
      shownIn: this.#server.shownIn,
    };
    const result = this.#writeFile("terminal.json", JSON.stringify(state));
    if (result !== "written") this.#writeStateSoon(RETRY_MS);
  }

  /** Writes the last screen, unless the journal is enough to draw it again. */
  async #writeScreen(): Promise<void> {
    const screen = this.#screen;
    if (!screen.isLoaded && !this.#journal.hasDropped) return;
    try {
      await screen.load();
      const last = screen.text({ scrollback: SCROLLBACK, ansi: true });
      const json = JSON.stringify(last);
      // On a full disk the session ends once there is room. A stop doesn't wait for that: it
      // would kill this process, and with it the report of how the agent has ended.
      while (
        this.#writeFile("screen.json", json) === "full" &&
        !this.#isAsked
      ) await within(RETRY_MS, this.#asked.promise);
    } catch (error) {
      complain(error);
    }
  }

  /** Writes a file of the session, unless the disk is full or, for example, the session deleted. */
  #writeFile(name: string, json: string): "written" | "full" | "failed" {
    // Something else is in its place, perhaps a link to another session's.
    if (!this.#isInPlace()) return "failed";
    try {
      writeAtomic(`${this.#options.dir}/${name}`, json + "\n");
      this.#hasComplained = false;
      return "written";
    } catch (error) {
      if (!this.#hasComplained) complain(error);
      this.#hasComplained = true;
      return isFull(error) ? "full" : "failed";
    }
  }
}

/** Tells whether an error means that the disk, or the user's share of it, is full. */
function isFull(error: unknown): boolean {
  const { code } = error as { readonly code?: unknown };
  return code === "ENOSPC" || code === "EDQUOT";
}

if (import.meta.main) await runRelay(Deno.args);
