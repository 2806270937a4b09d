/**
 * Sessions to be shown in pictures. The sessions are real; the agents and tools in them are
 * scripts that print what stands here, so that a picture is the same each time.
 *
 * @module
 */
import { createSession } from "../mod.ts";
import { type Paths, pathsIn } from "../store.ts";

/** A session to be shown. */
interface Demo {
  readonly id: string;
  readonly command: readonly string[];
  readonly kind?: "exec" | "pty";
  readonly labels?: Readonly<Record<string, string>>;
  readonly cwd: string;
  /** What it prints. */
  readonly prints: string;
  /** What it tells its terminal, as OSC 7501 has it. */
  readonly status?: {
    readonly state: string;
    readonly kind?: string;
    readonly progress?: string;
    readonly msg: string;
  };
  /** Its exit code, if it ends. */
  readonly ends?: number;
  /** How long it has been so, in minutes. */
  readonly minutes: number;
}

const bold = (text: string) => `\x1b[1m${text}\x1b[m`;
const dim = (text: string) => `\x1b[2m${text}\x1b[m`;
const green = (text: string) => `\x1b[32m${text}\x1b[m`;
const red = (text: string) => `\x1b[31m${text}\x1b[m`;
const blue = (text: string) => `\x1b[34m${text}\x1b[m`;
const yellow = (text: string) => `\x1b[33m${text}\x1b[m`;

const FIX = `
${dim(">")} Fix the failing login test

${bold("Read")} src/login.ts, tests/login.test.ts

The test "signs in by link" fails: the token
is compared before it is decoded.

${bold("Edit")} src/login.ts
  41 ${red("-   if (token === link.token) {")}
  41 ${green("+   if (decode(token) === link.token) {")}
  42       return session(link.user);

Now I run the test again.

${blue("────────────────────────────────────────────")}
${bold("Run this command?")}

    npm test -- login

${blue("❯ 1. Yes")}
  2. Yes, and don't ask again for npm test
  3. No, do something else

${dim("Esc cancels")}
`;

const PAYMENTS = `
${dim(">")} Move the shop to the new payments API

${bold("Plan")}
  ${green("✓")} read the notes on the new API
  ${green("✓")} create intents on the server
  ${yellow("▸")} confirm them in src/checkout.ts
  · webhooks
  · remove the old client

${bold("Edit")} src/checkout.ts
 112 ${red("-   await charge(cart.total);")}
 112 ${green("+   await confirm(cart.intent);")}

${dim("Working… Esc stops")}
`;

const TESTS = `
> shop@2.4.0 test
> vitest --watch

${green(" ✓")} tests/cart.test.ts (18)
${green(" ✓")} tests/prices.test.ts (31)
${green(" ✓")} tests/search.test.ts (12)
${red(" ✗")} tests/login.test.ts (9, 1 failed)
${green(" ✓")} tests/checkout.test.ts (22)
`;

const DEMOS: readonly Demo[] = [
  {
    id: "fix-login",
    command: ["claude", "Fix the failing login test"],
    kind: "pty",
    labels: { task: "1042" },
    cwd: "shop",
    prints: FIX,
    status: {
      state: "blocked",
      kind: "permission",
      msg: "Run npm test -- login",
    },
    minutes: 3,
  },
  {
    id: "review-api",
    command: ["codex", "Review the API for breaking changes"],
    kind: "pty",
    cwd: "api",
    prints: `${red("The model is overloaded.")} Press Enter to try again.\n`,
    status: { state: "error", msg: "the model is overloaded" },
    minutes: 8,
  },
  {
    id: "payments",
    command: ["codex", "Move the shop to the new payments API"],
    kind: "pty",
    labels: { task: "1038" },
    cwd: "shop",
    prints: PAYMENTS,
    status: { state: "working", msg: "Editing src/checkout.ts" },
    minutes: 12,
  },
  {
    id: "docs",
    command: ["claude", "Write docs for the search API"],
    kind: "pty",
    cwd: "api",
    prints: "Writing docs/search.md\n",
    status: { state: "working", progress: "60", msg: "Writing docs/search.md" },
    minutes: 2,
  },
  {
    id: "tests",
    command: ["npm", "test", "--", "--watch"],
    cwd: "shop",
    prints: TESTS,
    minutes: 47,
  },
  {
    id: "release",
    command: ["claude", "Draft the release notes for 2.4"],
    kind: "pty",
    cwd: "shop",
    prints: "The draft is in docs/release-2.4.md.\n",
    status: { state: "done", msg: "The draft is in docs/release-2.4.md" },
    minutes: 25,
  },
  {
    id: "build",
    command: ["npm", "run", "build"],
    cwd: "shop",
    prints: "src/pages/cart.tsx(12,7): error TS2322: Type 'string' …\n",
    ends: 2,
    minutes: 31,
  },
  {
    id: "lint",
    command: ["npm", "run", "lint"],
    cwd: "shop",
    prints: "142 files checked, no problems\n",
    ends: 0,
    minutes: 64,
  },
  {
    id: "changelog",
    command: ["codex", "exec", "Bring the changelog up to date"],
    cwd: "api",
    prints: "Added 6 entries to CHANGELOG.md.\n",
    ends: 0,
    minutes: 190,
  },
];

/** Starts them: in a folder of its own, whose `state` is the root. */
export async function startDemo(
  folder: string,
  size: { readonly columns: number; readonly rows: number },
): Promise<string> {
  const root = `${folder}/state`;
  for (const name of ["bin", "play", "shop", "api"]) {
    Deno.mkdirSync(`${folder}/${name}`);
  }
  for (const name of ["claude", "codex", "npm"]) {
    Deno.writeTextFileSync(
      `${folder}/bin/${name}`,
      `#!/bin/sh\n. ${folder}/play/\${CODEX_SESSION_DIR##*/}\n`,
      { mode: 0o700 },
    );
  }
  for (const demo of DEMOS) {
    const { id, command, kind = "exec", labels, cwd } = demo;
    const isAgent = command[0] !== "npm";
    Deno.writeTextFileSync(`${folder}/play/${id}`, script(demo));
    await createSession({
      ...{ root, id, command, kind, labels, cwd: `${folder}/${cwd}` },
      env: { PATH: `${folder}/bin:${Deno.env.get("PATH")}` },
      ...(kind === "pty" && size),
      ...(isAgent && { prompt: command.at(-1)! }),
    });
  }
  for (const demo of DEMOS) await settle(root, demo);
  return root;
}

/** Draws again whenever the window changes, as full-screen programs do. */
function script({ prints, status, kind, ends }: Demo): string {
  const quote = (text: string) => `'${text.replaceAll("'", `'\\''`)}'`;
  if (kind !== "pty") {
    const end = ends === undefined ? "exec sleep 3600" : `exit ${ends}`;
    return `printf %s ${quote(prints.replace("\n", ""))}\n${end}\n`;
  }
  const screen = `\x1b[?1049h\x1b[?25l\x1b[H\x1b[2J${
    prints.trimStart().replaceAll("\n", "\r\n")
  }`;
  return `stty raw -echo
draw() { printf %s ${quote(screen)}; }
trap draw WINCH
draw
printf %s ${quote(status === undefined ? "" : reportOf(status))}
while :; do sleep 3600 & wait; done
`;
}

/** As the Program Status Protocol has it: the text in base64. */
function reportOf({ msg, ...words }: NonNullable<Demo["status"]>): string {
  const text = new TextEncoder().encode(msg).toBase64();
  const pairs = Object.entries({ ...words, msg: text });
  return `\x1b]7501;${pairs.map((pair) => pair.join("=")).join(":")}\x1b\\`;
}

/** Waits until a session is what it is to be, and makes it as old as it is to look. */
async function settle(root: string, demo: Demo): Promise<void> {
  const { id, ends, status, minutes } = demo;
  const paths = pathsIn(`${root}/${id}`, id);
  const isSettled = ends !== undefined
    ? () => isThere(paths.exit)
    : status !== undefined
    ? () => isThere(paths.status)
    : () => Deno.statSync(paths.stdout).size > 0;
  while (!isSettled()) await new Promise((wake) => setTimeout(wake, 20));
  age(paths, Date.now() - minutes * 60_000 - 20_000);
}

/** Pretends that a session is what it is since that time. */
function age(paths: Paths, at: number): void {
  if (isThere(paths.status)) {
    const told = JSON.parse(Deno.readTextFileSync(paths.status));
    for (const record of told.records) record.since = at;
    Deno.writeTextFileSync(paths.status, JSON.stringify(told) + "\n");
  }
  for (const path of [paths.pid, paths.exit, paths.stdout]) {
    if (isThere(path)) Deno.utimeSync(path, new Date(at), new Date(at));
  }
}

function isThere(path: string): boolean {
  try {
    return Deno.statSync(path).size > 0;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}
