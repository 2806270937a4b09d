/**
 * `deno task bench [NAME…] [--quick]` measures the project and prints tables. Each figure stands
 * beside its target and beside its floor, the least that any program needs for the same work.
 *
 * Figures depend on the machine and its load, so a missed target is marked but does not
 * change the exit status. Linux only.
 *
 * To add a figure, write a function that takes an `Effort` and returns tables, and list it in
 * {@linkcode FIGURES}.
 *
 * @module
 */
import { parseArgs } from "../std.ts";
import { disposeAll, type Figure, formatTable, TEMPORARY } from "./measure.ts";

/** The figures by name. */
const FIGURES: Readonly<Record<string, () => Promise<Figure>>> = {
  start: async () => (await import("./detached.ts")).start,
  rate: async () => (await import("./detached.ts")).rate,
  memory: async () => (await import("./memory.ts")).memory,
  list: async () => (await import("./list.ts")).list,
  mcp: async () => (await import("./mcp.ts")).mcp,
  follow: async () => (await import("./follow.ts")).follow,
  events: async () => (await import("./events.ts")).events,
  echo: async () => (await import("./terminal.ts")).echo,
  screen: async () => (await import("./terminal.ts")).screen,
  flood: async () => (await import("./flood.ts")).flood,
  status: async () => (await import("./status.ts")).status,
  top: async () => (await import("./top.ts")).top,
  web: async () => (await import("./web.ts")).web,
  "tty-memory": async () => (await import("./terminal.ts")).terminalMemory,
  "tty-start": async () => (await import("./terminal.ts")).terminalStart,
};

async function main(args: readonly string[]): Promise<number> {
  let unknown: string | undefined;
  const parsed = parseArgs(args, {
    boolean: ["quick"],
    string: ["_"],
    unknown: (arg) => {
      if (!Object.hasOwn(FIGURES, arg)) unknown ??= arg;
    },
  });
  if (unknown !== undefined) {
    const known = Object.keys(FIGURES).join(", ");
    console.error(
      `Unknown argument "${unknown}": expected ${known} or --quick`,
    );
    return 2;
  }
  const quick = parsed.quick === true;
  const asked = parsed._.map(String);
  if (Deno.build.os !== "linux") {
    console.error("Cannot measure: the figures read /proc, so on Linux only");
    return 1;
  }
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    Deno.addSignalListener(signal, async () => {
      await disposeAll();
      Deno.exit(1);
    });
  }
  const [load = 0] = Deno.loadavg();
  console.log(
    `Deno ${Deno.version.deno}, ${navigator.hardwareConcurrency} CPUs, ` +
      `Linux ${Deno.osRelease()}, load ${load.toFixed(1)}, ` +
      `files in ${TEMPORARY ?? "the temporary directory"} (TMPDIR), ` +
      `${new Date().toISOString()}\n`,
  );
  const effort = {
    quick,
    pick: (full: number, short: number) => quick ? short : full,
  };
  for (const name of asked.length > 0 ? asked : Object.keys(FIGURES)) {
    try {
      const figure = await FIGURES[name]!();
      for (const table of await figure(effort)) console.log(formatTable(table));
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      console.log(`## ${name}: not measured: ${why}\n`);
    }
  }
  return 0;
}

if (import.meta.main) Deno.exit(await main(Deno.args));
