/**
 * The shape of the code, as CONTRIBUTING.md describes it: which room may import which,
 * which files may print, and that importing the library has no effect.
 *
 * @module
 */
import { join } from "../std.ts";
import {
  AROUND,
  assert,
  assertEquals,
  filesIn,
  MODULES,
  PROJECT,
} from "./helpers.ts";

/** From the lowest up: a module imports from its own room and from the floors below. */
const FLOORS: readonly (readonly string[])[] = [
  ["errors.ts", "std.ts"],
  ["system/"],
  ["store.ts"],
  ["process/", "screen/"],
  ["agents/"],
  ["events/"],
  ["spawn.ts", "relay/"],
  ["session/", "client/"],
  ["doctor/", "run/"],
  ["cli/", "mod.ts"],
  ["views/"],
  ["mcp/", "top/", "web/"],
  ["cli.ts"],
];

/** May import from outside: the standard library, the terminal emulator, the protocol of agents' tools, V8's watchdog,
 * assertions, a browser's driver. */
const DOORS = [
  "mcp/pattern.ts",
  "mcp/sdk.ts",
  "screen/emulator.ts",
  "std.ts",
  "tests/helpers.ts",
  "tests/mcp/client.ts",
  "tests/web/browser.ts",
  "web/page/xterm.ts",
];

/** May read arguments, print and exit: the command line, and the relay's own process. */
const PROGRAMS = ["cli.ts", "relay/relay.ts"];

/** A part of the relay's process, which ends that process the way the agent ended. */
const PARTS_OF_RELAY = ["relay/agent.ts"];

/** What `build/` may import. relay/command.ts: a bundle names the program that runs relays. */
const FOR_BUILD = ["cli.ts", "mod.ts", "relay/command.ts", "std.ts"];

/** What runs in the browser, not in the program. */
const PAGE = filesIn("web/page/");

/** What of the program the page imports: it needs nothing of Deno, nor does what it imports. */
const FOR_PAGE = [
  "screen/emulator_limits.ts",
  "views/row.ts",
  "views/split_command.ts",
];

/** The files around the program: tests, faults, the page and so on. */
const OUTER = [
  ...AROUND.map((name) => `${name}/`),
  ...testFolders().map((name) => `tests/${name}/`),
].flatMap(filesIn).concat(PAGE);

/** One module in the output of `deno info --json`. */
interface ModuleInfo {
  readonly specifier: string;
  readonly dependencies?: readonly {
    readonly specifier: string;
    readonly code?: { readonly specifier?: string };
    readonly type?: { readonly specifier?: string };
    readonly isDynamic?: boolean;
  }[];
}

/** One import: as it is written, what it resolves to, and whether it runs at the start. */
interface Import {
  readonly specifier: string;
  readonly target: string;
  readonly isEager: boolean;
}

type Graph = ReadonlyMap<string, readonly Import[]>;

/** All imports of the files and of what they import, also dynamic ones and those of types. */
async function readGraph(files: readonly string[]): Promise<Graph> {
  const dir = Deno.makeTempDirSync();
  try {
    const entry = join(dir, "all.ts");
    const lines = files.map((name) =>
      `import "${new URL(name, `file://${PROJECT}`)}";\n`
    );
    Deno.writeTextFileSync(entry, lines.join(""));
    const { success, stdout } = await new Deno.Command(Deno.execPath(), {
      args: ["info", "--json", entry],
      cwd: PROJECT,
      stderr: "inherit",
    }).output();
    assert(success);
    const { modules } = JSON.parse(new TextDecoder().decode(stdout));
    const graph = new Map<string, readonly Import[]>();
    for (const { specifier, dependencies = [] } of modules as ModuleInfo[]) {
      if (!specifier.startsWith(`file://${PROJECT}`)) continue;
      graph.set(
        nameOf(specifier),
        dependencies.map(({ specifier, code, type, isDynamic = false }) => ({
          specifier,
          target: nameOf(code?.specifier ?? type?.specifier ?? specifier),
          isEager: code !== undefined && !isDynamic,
        })),
      );
    }
    return graph;
  } finally {
    Deno.removeSync(dir, { recursive: true });
  }
}

/** `store.ts` for a file of the project; anything else stays as it is. */
function nameOf(specifier: string): string {
  const root = `file://${PROJECT}`;
  return specifier.startsWith(root) ? specifier.slice(root.length) : specifier;
}

/** The folders in `tests/` that hold tests. */
function testFolders(): string[] {
  return [...Deno.readDirSync(`${PROJECT}tests`)]
    .filter(({ name, isDirectory }) => isDirectory && name !== "testdata")
    .map(({ name }) => name);
}

/** The text of a module without its comments; what is in quotes stays. */
function codeOf(name: string): string {
  const text = Deno.readTextFileSync(join(PROJECT, name));
  const token =
    /"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'|`(?:\\[^]|[^`\\])*`|\/\*[^]*?\*\/|\/\/.*/g;
  return text.replace(token, (found) => found.startsWith("/") ? "" : found);
}

/** The lines of a module's code that match. */
function linesWith(name: string, pattern: RegExp): string[] {
  return codeOf(name).split("\n")
    .filter((line) => pattern.test(line))
    .map((line) => `${name}: ${line.trim()}`);
}

/** The room of a module, `relay/` or `store.ts`. */
function roomOf(name: string): string {
  return /^\w+\//.exec(name)?.[0] ?? name;
}

function floorOf(name: string): number {
  return FLOORS.findIndex((rooms) => rooms.includes(roomOf(name)));
}

const [graph, outerGraph] = await Promise.all([
  readGraph(MODULES),
  readGraph(OUTER),
]);

Deno.test("the program imports no file around it, and every file of it has a floor", () => {
  assertEquals([...graph.keys()].sort(), MODULES);
  assertEquals(MODULES.filter((name) => floorOf(name) < 0), []);
  const rooms = new Set(MODULES.map(roomOf));
  assertEquals(FLOORS.flat().filter((room) => !rooms.has(room)), []);
});

Deno.test("the modules import each other without a circle", () => {
  const done = new Set<string>();
  function visit(name: string, path: readonly string[]): void {
    const at = path.indexOf(name);
    assert(at < 0, `A circle: ${[...path.slice(at), name].join(" → ")}`);
    if (done.has(name)) return;
    for (const { target } of graph.get(name) ?? outerGraph.get(name) ?? []) {
      visit(target, [...path, name]);
    }
    done.add(name);
  }
  for (const name of [...MODULES, ...PAGE]) visit(name, []);
});

Deno.test("imports run only downward, and no arrow joins two rooms of one floor", () => {
  const wrong: string[] = [];
  for (const [name, imports] of graph) {
    for (const { target } of imports) {
      if (!graph.has(target) || roomOf(target) === roomOf(name)) continue;
      if (floorOf(target) >= floorOf(name)) wrong.push(`${name} → ${target}`);
    }
  }
  assertEquals(wrong, []);
});

Deno.test("build/ imports the ways in only; tests, bench and docs import the program, docs and faults also tests", () => {
  const wrong: string[] = [];
  for (const name of OUTER) {
    if (PAGE.includes(name)) continue;
    const own = roomOf(name);
    for (const { target } of outerGraph.get(name)!) {
      if (!outerGraph.has(target) || roomOf(target) === own) continue;
      const isFine = own === "build/"
        ? FOR_BUILD.includes(target)
        : MODULES.includes(target) ||
          own === "tests/" && PAGE.includes(target) ||
          ["docs/", "faults/"].includes(own) && roomOf(target) === "tests/";
      if (!isFine) wrong.push(`${name} → ${target}`);
    }
  }
  assertEquals(wrong, []);
});

Deno.test("web/page/ imports its own files, and of the program what a browser can run", () => {
  const wrong = PAGE.flatMap((name) =>
    outerGraph.get(name)!
      .filter(({ target }) => outerGraph.has(target))
      .filter(({ target }) => ![...PAGE, ...FOR_PAGE].includes(target))
      .map(({ target }) => `${name} → ${target}`)
  );
  assertEquals(wrong, []);
});

Deno.test("tests/ mirrors the rooms", () => {
  const rooms = FLOORS.flat();
  assertEquals(testFolders().filter((name) => !rooms.includes(`${name}/`)), []);
});

Deno.test("only the doors import from outside, by full specifiers", () => {
  for (const [name, imports] of [...graph, ...outerGraph]) {
    for (const { specifier } of imports) {
      if (/^\.\.?\//.test(specifier)) continue;
      assert(DOORS.includes(name), `${name} imports ${specifier}`);
      // A module fetched from a URL has no import map: only a full specifier resolves.
      const full = /^(node:|npm:(@[^/@]+\/)?[^/@]+@\d+\.\d+\.\d+(\/|$))/.test(
        specifier,
      );
      assert(
        full,
        `${name}: ${specifier} is not node:NAME, npm:NAME@VERSION or npm:NAME@VERSION/FILE`,
      );
    }
  }
});

Deno.test("dynamic imports have literal specifiers, which compile and bundle can see", () => {
  const computed = MODULES.flatMap((name) =>
    linesWith(name, /\bimport\(\s*[^\s")]/)
  );
  assertEquals(computed, []);
});

Deno.test("cli.ts loads agents, sessions, processes and the server only for commands that need them", () => {
  const eager = new Set<string>();
  function load(name: string): void {
    if (eager.has(name)) return;
    eager.add(name);
    for (const { target, isEager } of graph.get(name) ?? []) {
      if (isEager) load(target);
    }
  }
  load("cli.ts");
  const lazy =
    /^(agents|client|doctor|events|mcp|process|run|session)\/|^npm:(?!deno-std@)/;
  assertEquals([...eager].filter((name) => lazy.test(name)), []);
});

Deno.test("only the programs read arguments, print or exit", () => {
  const pattern =
    /\bDeno\.(args|exit|exitCode|stdin|stdout|stderr)\b|\bconsole\.|\b(alert|confirm|prompt)\(/;
  const found = MODULES
    .filter((name) => ![...PROGRAMS, ...PARTS_OF_RELAY].includes(name))
    .flatMap((name) => linesWith(name, pattern));
  assertEquals(found, []);
  for (const [name, imports] of graph) {
    const parts = imports.filter(({ target }) =>
      PARTS_OF_RELAY.includes(target)
    );
    if (name !== "relay/relay.ts") assertEquals(parts, [], name);
  }
});

Deno.test("what differs between the kinds stands in KINDS of store.ts", () => {
  const found = MODULES.flatMap((name) =>
    linesWith(name, /\bkind [!=]== "(exec|repl|pty)"/i)
  );
  assertEquals(found, []);
});

Deno.test("what differs between operating systems stands in os.ts", () => {
  const found = MODULES
    .filter((name) => name !== "system/os.ts")
    .flatMap((name) => linesWith(name, /\bDeno\.build\.(os|arch)\b/));
  assertEquals(found, []);
});

Deno.test("all FFI stands in ffi.ts", () => {
  const found = MODULES
    .filter((name) => name !== "system/ffi.ts")
    .flatMap((name) => linesWith(name, /\bDeno\.(dlopen|Unsafe\w+)\b/));
  assertEquals(found, []);
});

Deno.test("mod.ts holds re-exports of names and nothing else", () => {
  const statement =
    /^export (type )?\{[\w\s,]+\} from "\.\/(\w+\/)?\w+\.ts";$/gm;
  assertEquals(codeOf("mod.ts").replace(statement, "").trim(), "");
});

Deno.test("importing mod.ts has no effect: it needs no permission and prints nothing", async () => {
  const dir = Deno.makeTempDirSync();
  try {
    const script = join(dir, "import.ts");
    Deno.writeTextFileSync(
      script,
      `import * as mod from "file://${PROJECT}mod.ts";\n` +
        `console.log(typeof mod.createSession, typeof mod.SessionError);\n`,
    );
    // A dlopen, an environment variable, a file: each would be refused.
    const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
      // With the project's lock file the registry need not be asked what it has.
      args: [
        ...["run", "--quiet", "--no-prompt"],
        ...["--config", join(PROJECT, "deno.json"), script],
      ],
      cwd: dir,
    }).output();
    const decoder = new TextDecoder();
    assertEquals([code, decoder.decode(stdout), decoder.decode(stderr)], [
      0,
      "function function\n",
      "",
    ]);
  } finally {
    Deno.removeSync(dir, { recursive: true });
  }
});

Deno.test("what only its own file uses is not exported", () => {
  const code = new Map(
    [...MODULES, ...OUTER].map((name) => [name, codeOf(name)]),
  );
  const unused: string[] = [];
  for (const name of [...MODULES, ...PAGE]) {
    const declared = code.get(name)!.matchAll(
      /^export (?:async )?(?:const|let|function\*?|class) (\w+)/gm,
    );
    for (const [, symbol] of declared) {
      const use = new RegExp(`\\b${symbol}\\b`);
      const isUsed = [...code].some(([other, text]) =>
        other !== name && use.test(text)
      );
      if (!isUsed) unused.push(`${name}: ${symbol}`);
    }
  }
  assertEquals(unused, []);
});
