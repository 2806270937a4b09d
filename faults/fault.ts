/**
 * What a fault is, and how its cases are run and counted.
 *
 * A fault injects one kind of harm, case by case. A case has the same name in every run with
 * the same seed, so that `--case` repeats it. It survives if it returns no complaint. Each
 * case has a time limit, and so has each fault.
 *
 * @module
 */

/** One kind of harm. */
export interface Fault {
  /** Its name on the command line. */
  readonly name: string;
  /** What it does, in a few words. */
  readonly about: string;
  /** Runs its cases. */
  readonly run: (context: Context) => Promise<void>;
  /** Why it can't run here; `undefined` if it can. */
  readonly skip?: () => string | undefined;
}

/** What a fault gets to work with. */
export interface Context {
  /** Run only a sample. */
  readonly short: boolean;
  /** Random numbers for this fault, the same for the same seed. */
  readonly random: Random;
  /** The seed of the random numbers. */
  readonly seed: number;
  /** Tells whether time is up: then start no further case. */
  readonly over: () => boolean;
  /** Runs one case and counts it. */
  readonly inject: (name: string, run: Case) => Promise<void>;
  /** Runs cases, two at the same time. */
  readonly injectAll: (
    cases: Iterable<readonly [name: string, run: Case]>,
  ) => Promise<void>;
  /** Counts cases that were run without {@linkcode inject}. */
  readonly count: (injected: number, complaints: readonly Complaint[]) => void;
}

/** A case. Returns its complaints, none if it survived; `null` if nothing was injected. */
export type Case = () => Promise<readonly string[] | null>;

/** What went wrong in which case. */
export interface Complaint {
  readonly case: string;
  readonly text: string;
}

/** How often a fault was injected and survived. */
export interface Outcome {
  injected: number;
  survived: number;
  readonly complaints: Complaint[];
  seconds: number;
  skipped?: string;
}

/** Random numbers that a seed repeats: mulberry32. */
export class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  /** A number from 0 to below 1. */
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let t = this.#state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  }

  /** A whole number below `limit`. */
  below(limit: number): number {
    return Math.floor(this.next() * limit);
  }

  /** One of several. */
  pick<T>(from: readonly T[]): T {
    return from[this.below(from.length)]!;
  }

  /** Some of several, in their order. */
  sample<T>(from: readonly T[], count: number): T[] {
    const left = from.map((_, index) => index);
    const taken: number[] = [];
    while (taken.length < count && left.length > 0) {
      taken.push(...left.splice(this.below(left.length), 1));
    }
    return taken.sort((a, b) => a - b).map((index) => from[index]!);
  }
}

/** How to run one fault. */
interface RunOptions {
  readonly short: boolean;
  readonly seed: number;
  /** Only cases whose name contains this. */
  readonly only?: string;
  /** The longest time for the fault. */
  readonly limitMs: number;
  /** The longest time for one case. */
  readonly caseMs: number;
}

/** Runs a fault to its end or its time limit. */
export async function runFault(
  fault: Fault,
  options: RunOptions,
): Promise<Outcome> {
  const { short, seed, only, limitMs, caseMs } = options;
  const start = performance.now();
  const outcome: Outcome = {
    injected: 0,
    survived: 0,
    complaints: [],
    seconds: 0,
  };
  const skipped = fault.skip?.();
  if (skipped !== undefined) return { ...outcome, skipped };
  if (limitMs <= 0) return { ...outcome, skipped: "out of time" };
  const over = () => performance.now() - start > limitMs;

  async function inject(name: string, run: Case): Promise<void> {
    if (over() || (only !== undefined && !name.includes(only))) return;
    let complaints: readonly string[] | null;
    try {
      complaints = await within(run(), caseMs);
    } catch (error) {
      complaints = [`${error instanceof Error ? error.stack : error}`];
    }
    if (complaints === null) return;
    outcome.injected++;
    if (complaints.length === 0) outcome.survived++;
    for (const text of complaints) {
      outcome.complaints.push({ case: name, text });
    }
  }

  async function injectAll(
    cases: Iterable<readonly [string, Case]>,
  ): Promise<void> {
    const iterator = cases[Symbol.iterator]();
    const worker = async () => {
      for (let next; !(next = iterator.next()).done && !over();) {
        await inject(...next.value);
      }
    };
    await Promise.all([worker(), worker()]);
  }

  let text = seed;
  for (const char of fault.name) {
    text = Math.imul(text ^ char.charCodeAt(0), 16777619) >>> 0;
  }
  try {
    await fault.run({
      short,
      seed,
      random: new Random(text),
      over,
      inject,
      injectAll,
      count(injected, complaints) {
        outcome.injected += injected;
        const failed = new Set(complaints.map((one) => one.case)).size;
        outcome.survived += injected - failed;
        outcome.complaints.push(...complaints);
      },
    });
  } catch (error) {
    outcome.injected++;
    const said = error instanceof Error ? error.stack : String(error);
    outcome.complaints.push({ case: "", text: `The fault itself: ${said}` });
  }
  outcome.seconds = (performance.now() - start) / 1000;
  return outcome.injected > 0
    ? outcome
    : { ...outcome, skipped: over() ? "out of time" : "nothing was hit" };
}

/** Waits for a promise for at most so many milliseconds; fails after that. */
export async function within<T>(promise: Promise<T>, ms: number): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(
      () => reject(new Error(`It hangs: not done within ${ms} ms`)),
      ms,
    );
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}
