/**
 * Breaks the product on purpose, and prints how often it survived.
 *
 *     deno task faults [--short] [--seed N] [--case TEXT] [--list] [NAME…]
 *
 * Every fault ends with the same judgement, see `judgement.ts`. NAME selects the faults
 * whose names begin with it; without names all faults run, which may take an hour. `--short`
 * takes a sample of each, three minutes on two cores: first the kinds of `FIRST`, then the
 * others in an order drawn from the seed. What is left out when the time is over is therefore
 * another part in each run. `--case` runs only cases whose name contains the text. A failure is printed with the command that repeats it, and the exit
 * status is 1 then. Writes to temporary folders only. Some faults need Linux, strace(1) or
 * root; where they are left out, the output says why.
 *
 * @module
 */
import { type Fault, type Outcome, Random, runFault } from "./fault.ts";
import { COMMAND_FAULTS } from "./commands.ts";
import { REAPER_FAULTS } from "./reapers.ts";
import { RELAY_FAULTS } from "./relays.ts";
import { HOSTILE_FILE_FAULTS } from "./hostile_files.ts";
import { HOSTILE_TERMINAL_FAULTS } from "./hostile_terminals.ts";
import { HOSTILE_STRING_FAULTS } from "./hostile_strings.ts";
import { DISK_FAULTS } from "./disk.ts";
import { FUZZ_ANSWER_FAULTS } from "./fuzz_answers.ts";
import { FUZZ_INPUT_FAULTS } from "./fuzz_input.ts";
import { FUZZ_MCP_FAULTS } from "./fuzz_mcp.ts";
import { FUZZ_TERMINAL_FAULTS } from "./fuzz_terminal.ts";
import { FUZZ_WEB_FAULTS } from "./fuzz_web.ts";
import { LOAD_FAULTS } from "./load.ts";
import { PID_FAULTS } from "./reused_pids.ts";
import { MACHINE_FAULTS } from "./machine.ts";
import { SHELL_FAULTS } from "./shells.ts";
import { STORM_FAULTS } from "./storms.ts";
import { STRANGER_FAULTS } from "./strangers.ts";
import { VERSION_FAULTS } from "./versions.ts";
import { World } from "./world.ts";
import { parseArgs } from "../std.ts";

const FAULTS: readonly Fault[] = [
  ...FUZZ_INPUT_FAULTS,
  ...FUZZ_TERMINAL_FAULTS,
  ...FUZZ_ANSWER_FAULTS,
  ...FUZZ_MCP_FAULTS,
  ...FUZZ_WEB_FAULTS,
  ...STORM_FAULTS,
  ...MACHINE_FAULTS,
  ...PID_FAULTS,
  ...STRANGER_FAULTS,
  ...SHELL_FAULTS,
  ...DISK_FAULTS,
  ...HOSTILE_FILE_FAULTS,
  ...HOSTILE_STRING_FAULTS,
  ...HOSTILE_TERMINAL_FAULTS,
  ...LOAD_FAULTS,
  ...VERSION_FAULTS,
  ...COMMAND_FAULTS,
  ...REAPER_FAULTS,
  ...RELAY_FAULTS,
];

/** The beginnings of the names of the faults that no run of `--short` leaves out. */
const FIRST = [
  ...["fuzz-mcp", "fuzz-web"],
  ...["storm", "pid-reuse", "strangers", "mimics", "reboot", "disk-full"],
  ...["hostile", "kill-create", "kill-run", "kill-stop", "kill-delete"],
];
/** The time for `--short`: a fault that has not started by then is left out. */
const SHORT_MS = 180_000;
/** The longest time for one fault with `--short`. */
const SHORT_LIMIT_MS = 5_000;
/** The longest time for one fault without `--short`. */
const LONG_MS = 15 * 60_000;

interface Call {
  readonly short: boolean;
  readonly seed: number;
  readonly only: string | undefined;
  readonly names: readonly string[];
  readonly list: boolean;
}

function parse(args: readonly string[]): Call {
  const { short, list, seed, case: only, _ } = parseArgs(args, {
    boolean: ["short", "list"],
    string: ["seed", "case", "_"],
    unknown: (arg) => {
      if (arg.startsWith("-")) throw new TypeError(`Unknown option ${arg}`);
    },
  });
  const number = Number(seed ?? Date.now() % 1_000_000);
  if (seed === "" || !Number.isSafeInteger(number)) {
    throw new TypeError("--seed takes a number");
  }
  return {
    short: short === true,
    list: list === true,
    seed: number,
    only: only as string | undefined,
    names: _.map(String),
  };
}

function chosen(names: readonly string[]): readonly Fault[] {
  if (names.length === 0) return FAULTS;
  for (const name of names) {
    if (!FAULTS.some((fault) => fault.name.startsWith(name))) {
      throw new TypeError(
        `No fault has a name that begins with "${name}"; try --list`,
      );
    }
  }
  return FAULTS.filter((fault) => {
    return names.some((name) => fault.name.startsWith(name));
  });
}

function row(name: string, outcome: Outcome): string {
  const { injected, survived, seconds, skipped } = outcome;
  const end = skipped === undefined ? "" : `left out: ${skipped}`;
  return [
    name.padEnd(24),
    String(injected).padStart(8),
    String(survived).padStart(8),
    `${seconds.toFixed(1)} s`.padStart(9),
    end || (injected === survived ? "" : "  <<<"),
  ].join(" ").trimEnd();
}

/** The order for `--short`. */
function shortOrder(faults: readonly Fault[], seed: number): Fault[] {
  const random = new Random(seed);
  const drawn = faults.map((fault) => {
    const first = FIRST.some((name) => fault.name.startsWith(name));
    return { fault, place: first ? -1 : random.next() };
  });
  return drawn.toSorted((a, b) => a.place - b.place).map(({ fault }) => fault);
}

async function main(args: readonly string[]): Promise<number> {
  const { short, seed, only, names, list } = parse(args);
  const named = chosen(names);
  const faults = short ? shortOrder(named, seed) : named;
  if (list) {
    for (const { name, about } of faults) {
      console.log(`${name.padEnd(24)} ${about}`);
    }
    return 0;
  }
  console.log(
    `Deno ${Deno.version.deno}, seed ${seed}${short ? ", short" : ""}`,
  );
  console.log(
    `${"fault".padEnd(24)} injected survived      time`,
  );
  const start = performance.now();
  const total: Outcome = {
    injected: 0,
    survived: 0,
    complaints: [],
    seconds: 0,
  };
  const details: string[] = [];
  const rows = { survived: 0, failed: 0, leftOut: 0 };
  for (const fault of faults) {
    const late = performance.now() - start > SHORT_MS;
    const limitMs = !short ? LONG_MS : late ? 0 : SHORT_LIMIT_MS;
    const outcome = await runFault(fault, {
      short,
      seed,
      only,
      limitMs,
      caseMs: 120_000,
    });
    console.log(row(fault.name, outcome));
    total.injected += outcome.injected;
    total.survived += outcome.survived;
    if (outcome.skipped !== undefined) rows.leftOut++;
    else if (outcome.injected === outcome.survived) rows.survived++;
    else rows.failed++;
    for (const { case: name, text } of outcome.complaints) {
      const again =
        `deno task faults ${short ? "--short " : ""}--seed ${seed}` +
        ` ${name === "" ? "" : `--case '${name}' `}${fault.name}`;
      console.error(`  ${name}: ${text.slice(0, 500)}`);
      details.push(`${fault.name}: ${name}\n    ${text}\n    again: ${again}`);
    }
  }
  total.seconds = (performance.now() - start) / 1000;
  console.log(row("all", total));
  if (details.length > 0) console.log(`\n${details.join("\n\n")}\n`);
  const { survived, failed, leftOut } = rows;
  console.log(
    `kinds of fault: ${survived} survived, ${failed} failed, ${leftOut} left out`,
  );
  return total.injected === total.survived ? 0 : 1;
}

// Leaves nothing behind when interrupted.
for (const signal of ["SIGINT", "SIGTERM"] as const) {
  Deno.addSignalListener(signal, async () => {
    await Promise.all([...World.all].map((one) => one[Symbol.asyncDispose]()));
    Deno.exit(130);
  });
}

let status = 2;
try {
  status = await main(Deno.args);
} catch (error) {
  if (!(error instanceof TypeError)) throw error;
  console.error(error.message);
}
// Exits even if a case still hangs.
Deno.exit(status);
