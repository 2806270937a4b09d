/**
 * When a turn is over: by the order of the inputs and statuses in a session's journal.
 *
 * A turn begins with an input, and ends with a status that says so. Programs may report `idle` at
 * each key: that ends a turn only if something was going on. An input to a program that works or is
 * blocked steers or ends what is going on (Escape, a denied permission), so the turn goes on.
 *
 * @module
 */
import { STATUS_SOURCES, type ToldStatus } from "./event.ts";
import { statusIn } from "./status_facts.ts";
import { fieldsOf, parseFields, timeIn } from "../agents/transcript.ts";

/** A status, and when it was told. */
export interface StatusEvent {
  /** What was told; `null`: nothing any more. */
  readonly status: ToldStatus | null;
  /** When, in milliseconds since 1970. */
  readonly at: number;
}

/** What matters of a line in a journal. */
export type TurnEvent = StatusEvent | "input";

/** How long a program is at rest after a turn, at least: work that comes sooner is a part of it. */
const REST_MS = 200;

/** The event of a line in a journal, if it is an input or a status. Nothing in it is believed. */
export function turnEventIn(line: string): TurnEvent | undefined {
  const { type, at, status } = parseFields(line);
  if (type === "input") return "input";
  const time = timeIn(at);
  if (type !== "status" || time === undefined) return undefined;
  if (status === null) return { status, at: time };
  const told = statusIn(status);
  const source = STATUS_SOURCES.find((one) => one === fieldsOf(status).source);
  return told && source ? { status: { ...told, source }, at: time } : undefined;
}

/** Follows the turn that began with the last input, or where the reading of the journal began. */
export class TurnWatch {
  #isActive = false;
  #end: StatusEvent | undefined;
  #hasTold = false;
  #hasInput = false;

  /** Whether an input has begun the turn. */
  get hasInput(): boolean {
    return this.#hasInput;
  }

  /** The status that has ended the turn; `undefined` while it goes on, or nobody has told. */
  get end(): StatusEvent | undefined {
    return this.#end;
  }

  /** Whether the program has told of work that it hasn't told the end of. */
  get isOpen(): boolean {
    return this.#isActive && this.#end === undefined;
  }

  /** Whether anything was told since the turn began. */
  get hasTold(): boolean {
    return this.#hasTold;
  }

  /** Begins with what follows, as behind an input; what goes on still does. */
  begin(): void {
    this.#isActive &&= !this.#hasStopped;
    this.#hasTold = false;
    this.#end = undefined;
  }

  /** Takes the next event. */
  add(event: TurnEvent): void {
    if (event === "input") {
      this.begin();
      this.#hasInput = true;
      return;
    }
    this.#hasTold = true;
    switch (event.status?.value) {
      case "working":
        this.#isActive = true;
        this.#end = undefined;
        break;
      case "blocked":
        this.#isActive = true;
        this.#end = event;
        break;
      case "done":
      case "error":
        this.#end = event;
        break;
      case "idle":
      case undefined:
        // After `done` and `error` it says nothing new. After `blocked` the turn was given up.
        if (this.#isActive && !this.#hasStopped) this.#end = event;
        break;
    }
  }

  /**
   * Whether the turn is over, and this event begins the next one: an input, or work without one
   * that comes a while after the end.
   */
  isBehind(event: TurnEvent): boolean {
    if (!this.isOver) return false;
    if (event === "input") return true;
    const { status, at } = this.#end!;
    const isFinished = status?.value === "done" || status?.value === "error";
    return isFinished && event.status?.value === "working" &&
      event.at - at >= REST_MS;
  }

  /** Whether an input would begin the next turn: an idle program that is starting has had none yet. */
  get isOver(): boolean {
    const isIdle = this.#end?.status?.value === "idle";
    return this.#hasStopped && (this.#hasInput || !isIdle);
  }

  /** Whether nothing is left to do. A blocked program has ended its turn only for the time being. */
  get #hasStopped(): boolean {
    return this.#end !== undefined && this.#end.status?.value !== "blocked";
  }
}
