/**
 * Terminal sessions under a flood of output: how fast a program can write with no client, with
 * one that reads everything, and with one that reads nothing.
 *
 * The program itself records when it begins and ends, so the start of the session and of the
 * client does not count.
 *
 * @module
 */
import {
  atLeast,
  Bench,
  type Effort,
  interleave,
  median,
  type Table,
  until,
} from "./measure.ts";
import { findKeepers, type Keeper, OURS } from "./terminal_peers.ts";
import { Window } from "./window.ts";

const CLIENTS = ["none", "draining", "frozen"] as const;
type Client = typeof CLIENTS[number];

const LINE =
  "The quick brown fox jumps over the lazy dog and so on 0123456789\n";

/** Waits for $1.go, then prints the file $2; writes the times before and after to $1.from and $1.to. */
const SCRIPT = `until [ -e "$1.go" ]; do sleep 0.02; done
date +%s%N >"$1.from"; cat "$2"; date +%s%N >"$1.to"; exec sleep 600`;

/** How long a program may take before its rate counts as 0. */
const DEADLINE_MS = 12_000;

function readStamp(file: string): number | undefined {
  try {
    const text = Deno.readTextFileSync(file);
    return text.endsWith("\n") ? Number(BigInt(text.trim())) / 1e6 : undefined;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

/** A file of so many bytes that a program prints to its terminal. */
class Flood {
  readonly #bench: Bench;
  readonly #file: string;
  readonly #bytes: number;
  #turn = 0;

  constructor(bench: Bench, bytes: number) {
    this.#bench = bench;
    this.#file = `${bench.dir}/flood-${bytes}`;
    this.#bytes = bytes;
    const chunk = new TextEncoder().encode(LINE.repeat(10_000));
    using file = Deno.openSync(this.#file, { write: true, create: true });
    for (let left = bytes; left > 0; left -= chunk.length) {
      file.writeSync(chunk.subarray(0, left));
    }
  }

  /** MB per second of the bare pseudo-terminal. */
  async bare(): Promise<number> {
    const name = `flood-${++this.#turn}`;
    await using terminal = await Window.open(this.#bench, this.#argv(name));
    terminal.drain();
    return await this.#rate(name);
  }

  /** MB per second through a session; 0 if it takes too long. */
  async through(keeper: Keeper, client: Client): Promise<number> {
    const bench = this.#bench;
    const name = `flood-${++this.#turn}`;
    await keeper.start(bench, name, this.#argv(name));
    if (client === "none") return await this.#rate(name);
    await using terminal = await Window.open(bench, keeper.attach(bench, name));
    await terminal.settle(300, "\x1b"); // It is attached.
    if (client === "draining") terminal.drain();
    return await this.#rate(name);
  }

  #argv(name: string): string[] {
    const path = `${this.#bench.dir}/${name}`;
    return ["sh", "-c", SCRIPT, "sh", path, this.#file];
  }

  async #rate(name: string): Promise<number> {
    const path = `${this.#bench.dir}/${name}`;
    Deno.writeTextFileSync(`${path}.go`, "");
    const giveUpAt = performance.now() + DEADLINE_MS;
    const to = await until(
      () =>
        readStamp(`${path}.to`) ??
          (performance.now() > giveUpAt ? Infinity : undefined),
      "the end of the flood",
      DEADLINE_MS + 5000,
    );
    const tookMs = to - (readStamp(`${path}.from`) ?? 0);
    return this.#bytes / 1e6 / (tookMs / 1000);
  }
}

/** How fast programs can write to their terminals. */
export async function flood(effort: Effort): Promise<Table[]> {
  await using bench = new Bench();
  const { peers, notes } = findKeepers();
  const bytes = effort.pick(200e6, 20e6);
  const large = new Flood(bench, bytes);
  const small = new Flood(bench, bytes / 10);
  const measured: Record<string, () => Promise<number>> = {};
  const add = (title: string, measure: () => Promise<number>) => {
    measured[title] = async () => {
      const rate = await measure();
      await bench.end();
      return rate;
    };
  };
  const bare = "bare pty (floor)";
  add(bare, () => large.bare());
  for (const keeper of [OURS, ...peers]) {
    // screen takes many times as long as the others.
    const flood = keeper.title === "screen" ? small : large;
    for (const client of CLIENTS) {
      add(`${keeper.title} ${client}`, () => flood.through(keeper, client));
    }
  }
  const rates = await interleave(1, measured);
  const rateOf = (name: string) => median(rates[name] ?? []);
  const cell = (name: string) => {
    const rate = rateOf(name);
    return rate === 0 ? `not in ${DEADLINE_MS / 1000} s` : rate.toFixed(0);
  };
  const targets = CLIENTS.map((client) => {
    const least = Math.round(rateOf(`tmux ${client}`));
    return atLeast(Math.round(rateOf(`${OURS.title} ${client}`)), least, "");
  });
  const hasTmux = peers.some(({ title }) => title === "tmux");
  return [{
    title: `flood: MB per second, ${bytes / 1e6} MB of lines`,
    columns: ["", ...CLIENTS.map((client) => `client: ${client}`), "target"],
    rows: [
      [bare, "", cell(bare), "", ""],
      ...[OURS, ...peers].map(({ title }) => [
        title,
        ...CLIENTS.map((client) => cell(`${title} ${client}`)),
        title === OURS.title && hasTmux ? targets.join(", ") + " (tmux)" : "",
      ]),
    ],
    notes: [
      "measured by the program itself; draining: a window that reads everything; frozen: one that reads nothing",
      "screen: a tenth of the output",
      ...notes,
    ],
  }];
}
