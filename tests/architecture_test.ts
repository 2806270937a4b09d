/**
 * The shape of the code, as CONTRIBUTING.md describes it: who may import whom,
 * who may print, and that the library does nothing by being imported.
 *
 * @module
 */
import { join } from "../std.ts";
import { assert, assertEquals, MODULES, PROJECT } from "./helpers.ts";

/** From the lowest up: a module imports from its own layer's folder and from what is below. */
const LAYERS: readonly (readonly string[])[] = [
  ["errors.ts", "std.ts"],
  ["system/"],
  ["store.ts"],
  ["process/", "screen/"],
  ["agents/"],
  ["spawn.ts", "relay/"],
  ["session/", "client/"],
  ["doctor/"],
  ["cli/", "mod.ts"],
  ["cli.ts"],
];

/** May import from outside: the standard library, the terminal emulator. */
const DOORS = ["screen/emulator.ts", "std.ts"];

/** May read arguments, print and exit: the command line, and a process of its own. */
const PROGRAMS = ["cli.ts", "relay/relay.ts"];

/** Belongs to the relay's process, and ends it as the agent has ended. */
const PARTS_OF_RELAY = ["relay/agent.ts"];

/** What `deno info --json` tells of a module. */
interface ModuleInfo {
  readonly specifier: string;
  readonly dependencies?: readonly {
    readonly specifier: string;
    readonly code?: { readonly specifier?: string };
    readonly type?: { readonly specifier?: string };
  }[];
}

/** One import: as it is written, and what it resolves to. */
interface Import {
  readonly specifier: string;
  readonly target: string;
}

/** All imports of each module, also dynamic ones and those of types, as Deno sees them. */
async function readGraph(): Promise<Map<string, readonly Import[]>> {
  const dir = Deno.makeTempDirSync();
  try {
    const entry = join(dir, "all.ts");
    const lines = MODULES.map((name) =>
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
        dependencies.map(({ specifier, code, type }) => ({
          specifier,
          target: nameOf(code?.specifier ?? type?.specifier ?? specifier),
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

const graph = await readGraph();

Deno.test("the modules import each other without a circle", () => {
  assertEquals([...graph.keys()].sort(), MODULES);
  const done = new Set<string>();
  function visit(name: string, path: readonly string[]): void {
    const at = path.indexOf(name);
    assert(at < 0, `A circle: ${[...path.slice(at), name].join(" → ")}`);
    if (done.has(name)) return;
    for (const { target } of graph.get(name) ?? []) {
      visit(target, [...path, name]);
    }
    done.add(name);
  }
  for (const name of MODULES) visit(name, []);
});

/** The room of a module, `relay/` or `store.ts`, and its floor. */
function placeOf(
  name: string,
): { readonly room: string; readonly floor: number } {
  const room = /^(\w+\/)?/.exec(name)![0] || name;
  return { room, floor: LAYERS.findIndex((rooms) => rooms.includes(room)) };
}

Deno.test("imports run only downward, and no arrow joins two rooms of one floor", () => {
  const wrong: string[] = [];
  for (const [name, imports] of graph) {
    const from = placeOf(name);
    assert(from.floor >= 0, `${name} stands in no room`);
    for (const { target } of imports) {
      if (!graph.has(target)) continue;
      const to = placeOf(target);
      if (to.room !== from.room && to.floor >= from.floor) {
        wrong.push(`${name} → ${target}`);
      }
    }
  }
  assertEquals(wrong, []);
});

Deno.test("only std.ts and emulator.ts import from outside, by full specifiers", () => {
  for (const [name, imports] of graph) {
    for (const { specifier } of imports) {
      if (/^\.\.?\//.test(specifier)) continue;
      assert(DOORS.includes(name), `${name} imports ${specifier}`);
      // Without an import map, as from a URL, nothing else can be resolved.
      const full = /^npm:(@[^/@]+\/)?[^/@]+@\d+\.\d+\.\d+\//.test(specifier);
      assert(full, `${name}: ${specifier} is not npm:NAME@VERSION/FILE`);
    }
  }
});

Deno.test("no module imports a test or a benchmark", () => {
  for (const [name, imports] of graph) {
    for (const { target } of imports) {
      assert(!/^(tests|bench)\//.test(target), `${name} imports ${target}`);
    }
  }
});

Deno.test("dynamic imports have literal specifiers, which compile and bundle can see", () => {
  const computed = MODULES.flatMap((name) =>
    linesWith(name, /\bimport\(\s*[^\s")]/)
  );
  assertEquals(computed, []);
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
