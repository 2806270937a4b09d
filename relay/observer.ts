/**
 * Keeps what a terminal's program tells its user: its status, notifications, the title. And when
 * input was given, who looks on, and which conversation the agent has.
 *
 *     program ─ output ─ Screen ─ Observer ─ status.json        what it is doing now
 *                                          ├ events.jsonl       what has happened
 *                                          ├ notifier           that it needs somebody, or is done
 *                                          └ conversation.json  how to go on with it
 *
 * A program that tells nothing costs nothing: no file, no timer. A new status is written at once,
 * everything else at most some times a second. `status.json` is written before the event, so that
 * a reader whom the event wakes finds it there.
 *
 * The program can move the session's directory away and put a link to another session's there. So
 * nothing is written unless the path still means the same directory.
 *
 * All of it is the program's word, or that of a file that somebody prints: it can lie about the
 * status, and do nothing else. What fails here (a full disk) loses what was told, never a session.
 *
 * @module
 */
import type { Agent, Environment } from "../agents/agent.ts";
import { conversationOf } from "../agents/conversation.ts";
import { recognizeAgent } from "../agents/recognize.ts";
import { writeConversation } from "../events/conversation_file.ts";
import type { EventFacts, ToldStatus } from "../events/event.ts";
import { appendEvent } from "../events/journal.ts";
import { type Notify, notifyAt } from "../events/notify.ts";
import { type RuleStatus, writeTold } from "../events/status_file.ts";
import { readArgv } from "../process/table.ts";
import { StatusRecords } from "../screen/program_status.ts";
import { BELL, Notifications, type Told } from "../screen/told.ts";
import { basename } from "../std.ts";
import { type Paths, pathsIn } from "../store.ts";
import { isAbsence } from "../system/files.ts";
import { hasGroup } from "../system/libc.ts";
import { foregroundGroup } from "../system/pty.ts";
import { Allowance } from "./allowance.ts";

/** How often anything but a new status is written at most, in milliseconds. */
const PAUSE_MS = 500;
/** How often a new status is written at once. A program that changes it faster waits. */
const STATUSES_PER_SECOND = 20;
/** How many notifications are kept. */
const NOTIFICATIONS_PER_SECOND = 10;
/** How long to wait before a file is written again that could not be, in milliseconds. */
const RETRY_MS = 1000;
/** How long after a status, and after input, the agent may need to record its conversation. */
const RECORD_MS = { status: 100, input: 2000 } as const;
/** How often the conversation is looked for, in milliseconds: it reads the process table. */
const UNKNOWN_MS = 2000;
const KNOWN_MS = 10_000;

/** What an {@linkcode Observer} observes. */
export interface Observed {
  /** The session's directory. */
  readonly dir: string;
  /** Tells whether that path still means the session's directory. */
  readonly isInPlace: () => boolean;
  /** The agent's argument vector. */
  readonly argv: readonly string[];
  /** The master of its terminal. */
  readonly master: number;
  /** The environment that the agent gets. */
  readonly env: Environment;
}

/** Observes one terminal. */
export class Observer {
  /** The agent's number, once it has started. */
  agentPid = 0;
  readonly #observed: Observed;
  readonly #paths: Paths;
  /** The agent, if it is one that the project knows; a shell is none. */
  readonly #agent: Agent | undefined;
  /** Read before the agent starts, which could change the file that names the notifier. */
  readonly #notifier: Notify | undefined;
  readonly #records = new StatusRecords();
  readonly #notifications = new Notifications();
  readonly #statusAllowance = new Allowance(STATUSES_PER_SECOND);
  readonly #notificationAllowance = new Allowance(NOTIFICATIONS_PER_SECOND);
  #told: Told[] = [];
  #isActive = false;
  /** The process group in the foreground at the last report. */
  #group: number | undefined;
  /** Whether the program reports by OSC 7501: then its title tells nothing more. */
  #hasReported = false;
  #title = "";
  #rule: RuleStatus | undefined;
  /** What the last events have told. */
  #lastStatus: ToldStatus | null = null;
  #lastTitle = "";
  #lastEvent: EventFacts["type"] | undefined;
  /** Whether there is something in `status.json`, and whether it is out of date. */
  #hasFile = false;
  #isDue = false;
  #writtenAt = -Infinity;
  #timer: ReturnType<typeof setTimeout> | undefined;
  /** Whether there is, or was, an agent that can be asked for its conversation. */
  #hasAgent: boolean;
  readonly #looks = new Set<keyof typeof RECORD_MS>();
  #nextLookAt = -Infinity;
  #isOver = false;

  /** An observer of a program that has told nothing yet. */
  constructor(observed: Observed) {
    this.#observed = observed;
    const { dir, argv } = observed;
    this.#paths = pathsIn(dir, basename(dir));
    this.#agent = recognizeAgent(argv)?.agent;
    this.#notifier = notifyAt(this.#paths);
    this.#hasAgent = this.#agent?.findConversation !== undefined;
  }

  /** Takes note of something that the output tells, until the output has been read. */
  note(told: Told): void {
    if (told !== BELL || this.#told.at(-1) !== BELL) this.#told.push(told);
  }

  /** Handles what was noted. The terminal has this title now. */
  handle(title: string): void {
    if (
      this.#told.length === 0 && title === this.#title && !this.#isActive
    ) return;
    if (this.#isActive && this.#group !== undefined && !hasGroup(this.#group)) {
      // Its program has ended without a word.
      if (this.#records.endActivity()) this.#changed();
    }
    if (this.#told.length > 0) {
      const group = foregroundGroup(this.#observed.master);
      for (const told of this.#told.splice(0)) this.#take(told, group);
    }
    if (title !== this.#title) this.#retitle(title);
  }

  #take(told: Told, group: number | undefined): void {
    switch (told.type) {
      case "report":
        if (this.#records.apply(told.body, Date.now())) {
          this.#group = group;
          this.#hasReported = true;
          this.#rule = undefined;
          this.#changed();
        } else if (this.#isActive && group !== this.#group) {
          this.#group = group;
          this.#dueSoon();
        }
        return;
      case "prompt":
        if (this.#records.endActivity()) this.#changed();
        return;
      case "reset":
        if (this.#records.reset()) this.#changed();
        return;
      case "notification": {
        const notification = this.#notifications.take(told.part);
        if (notification === undefined) return;
        return this.#notify(notification);
      }
      case "bell":
        return this.#notify({ body: "" });
    }
  }

  #notify(notification: { readonly title?: string; readonly body: string }) {
    if (!this.#notificationAllowance.take()) return;
    this.#append({ type: "notification", ...notification });
  }

  #retitle(title: string): void {
    this.#title = title;
    const status = this.#hasReported
      ? undefined
      : this.#agent?.statusOfTitle?.(title);
    const before = this.#rule;
    if (status?.value === before?.value && status?.kind === before?.kind) {
      this.#rule = status && { ...status, since: before!.since };
      if (status?.message !== before?.message) this.#changed();
    } else {
      this.#rule = status && { ...status, since: Date.now() };
      this.#changed();
    }
    if (meaningOf(title) !== this.#lastTitle) this.#writeSoon();
  }

  /** What the program is doing, as it tells. */
  get #status(): ToldStatus | null {
    const [record] = this.#records.byUrgency;
    if (record !== undefined) {
      const { value, kind, message, title, progress } = record;
      return { value, kind, message, title, progress, source: "terminal" };
    }
    if (this.#rule === undefined) return null;
    const { value, kind, message } = this.#rule;
    return { value, kind, message, source: "rule" };
  }

  /** Something has changed: at once if the status is another one. */
  #changed(): void {
    this.#isActive = this.#records.isActive;
    const status = this.#status;
    const before = this.#lastStatus;
    const isNew = status?.value !== before?.value ||
      status?.kind !== before?.kind || status?.source !== before?.source;
    this.#isDue = true;
    if (isNew && this.#statusAllowance.take()) this.#write();
    else this.#writeSoon();
    if (isNew && this.#findsAgent()) this.#lookLater("status");
  }

  #dueSoon(): void {
    this.#isDue = true;
    this.#writeSoon();
  }

  #writeSoon(leastMs = 0): void {
    if (this.#timer !== undefined || this.#isOver) return;
    const ms = Math.max(
      leastMs,
      this.#writtenAt + PAUSE_MS - performance.now(),
    );
    if (ms <= 0) return this.#write();
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.#write();
    }, ms);
  }

  #write(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#writtenAt = performance.now();
    if (this.#isDue) {
      this.#isDue = false;
      this.#writeStatus();
      this.#tellStatus();
    }
    if (meaningOf(this.#title) !== this.#lastTitle) {
      this.#lastTitle = meaningOf(this.#title);
      this.#append({ type: "title", title: this.#title });
    }
  }

  #writeStatus(): void {
    const records = this.#records.byUrgency;
    const isEmpty = records.length === 0 && this.#rule === undefined;
    if (isEmpty && !this.#hasFile) return;
    if (!this.#observed.isInPlace()) return;
    try {
      const [rule, group] = [this.#rule, this.#group];
      writeTold(this.#paths, { records, rule, group });
      this.#hasFile = true;
    } catch (error) {
      if (isAbsence(error)) return; // The session was deleted.
      // Rather no status than an old one.
      try {
        Deno.removeSync(this.#paths.status);
      } catch {
        // There is none, or the file system is read-only.
      }
      this.#isDue = true;
      this.#writeSoon(RETRY_MS);
    }
  }

  #tellStatus(): void {
    const status = this.#status;
    const before = this.#lastStatus;
    this.#lastStatus = status;
    // A progress alone is no event: there may be ten a second.
    const parts = (one: ToldStatus | null) =>
      JSON.stringify({ ...one, progress: undefined });
    if (parts(status) !== parts(before)) {
      this.#append({ type: "status", status });
    }
  }

  #append(facts: EventFacts): void {
    this.#lastEvent = facts.type;
    const at = new Date();
    if (this.#observed.isInPlace()) appendEvent(this.#paths, facts, at);
    this.#notifier?.(facts, at);
  }

  /** Input is about to be given to the program. */
  input(): void {
    if (this.#lastEvent !== "input") this.#append({ type: "input" });
    if (this.#hasAgent) this.#lookLater("input");
  }

  /** A client has attached or detached; so many are there now. */
  clients(type: "attached" | "detached", clients: number): void {
    this.#append({ type, clients });
  }

  /** Writes what is still to be written: the agent has ended. */
  end(): void {
    if (this.#timer !== undefined) this.#write();
    clearTimeout(this.#timer);
    this.#isOver = true;
  }

  /** Looks which conversation the agent has, once it may have recorded it. */
  #lookLater(why: keyof typeof RECORD_MS): void {
    if (this.#looks.has(why) || this.#isOver) return;
    this.#looks.add(why);
    const ms = Math.max(
      RECORD_MS[why],
      this.#nextLookAt - performance.now(),
    );
    setTimeout(() => {
      this.#looks.delete(why);
      if (!this.#isOver) this.#look();
    }, ms);
  }

  /** Tells whether there is an agent that can be asked: also one that a shell has started. */
  #findsAgent(): boolean {
    if (this.#agent !== undefined) return this.#hasAgent;
    const argv = readArgv(foregroundGroup(this.#observed.master) ?? 0) ?? [];
    const { agent } = recognizeAgent(argv) ?? {};
    this.#hasAgent ||= agent?.findConversation !== undefined;
    return this.#hasAgent;
  }

  #look(): void {
    this.#nextLookAt = performance.now() + UNKNOWN_MS;
    try {
      const { env } = this.#observed;
      const found = conversationOf(this.agentPid, { pid: Deno.pid, env });
      if (found === undefined) return;
      const { agent, id, home = null } = found;
      this.#nextLookAt = performance.now() + KNOWN_MS;
      if (!this.#observed.isInPlace()) return;
      writeConversation(this.#paths, {
        ...{ agent: agent.name, id, home, how: "process" },
      });
    } catch {
      // A full disk, or a process that ends meanwhile: the next look may find more.
    }
  }
}

/** A title without its symbols: the frames of a spinner are one title. */
function meaningOf(title: string): string {
  return title.replace(/[^\p{L}\p{N}]+/gu, " ").trim();
}
