/**
 * Fuzzing of the page's server: requests of any form over raw sockets.
 *
 * A request is put together of a method, a path, headers, a body, each right or wrong, and perhaps
 * damaged; a socket that opens gets frames of any form. Who sends them has no token, the one for
 * looking, or the one for everything. Whatever comes:
 *
 * - the server lives, and answers each whole request;
 * - nothing is given without the right token, `Host` and `Origin`;
 * - no answer holds a token, a stack trace, or the server's own failure;
 * - without the token for everything, sessions and files stay as they are, byte for byte;
 * - its memory and its open files are bounded, and it leaves no process but sessions.
 *
 * @module
 */
import { createSession } from "../mod.ts";
import { CLI } from "../tests/helpers.ts";
import type { Complaint, Context, Fault, Random } from "./fault.ts";
import {
  differences,
  INSIDE,
  leftBy,
  lookAt,
  openFiles,
  OUTSIDE,
  peakMemory,
  populate,
  SECRET,
} from "./fuzz_mcp.ts";
import { judge } from "./judgement.ts";
import { anything, damage, junk } from "./noise.ts";
import { folderOf } from "../web/gate.ts";
import { pause, until, World } from "./world.ts";

/** Who sends the requests. */
type Who = "stranger" | "looker" | "owner";

/** So many requests a run has. */
const REQUESTS = 10_000;
/** The same with `--short`. */
const SHORT_REQUESTS = 150;
/** So many are open at the same time. */
const AT_ONCE = 8;
/** How long an answer may take. A stop has ten seconds of grace. */
const ANSWER_MS = 40_000;
/** How long sockets are listened to. */
const SOCKET_MS = 50;
const MAX_RSS = 400 * 1024 * 1024;
/** So many files more than at the start may be open. */
const ROOM = 40;
/** The ids that the owner starts sessions with. */
const OWN = ["s0", "s1", "s2", "s3"];

/** What the server has told of itself. */
interface Told {
  readonly port: number;
  readonly token: string;
  readonly readOnlyToken: string;
}

/** A request, and what is known about it. */
interface Sent {
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** A whole request, which must be answered. */
  readonly isWhole: boolean;
  /** It may be let in: otherwise no answer is a success. */
  readonly isAllowed: boolean;
  readonly asksForSocket: boolean;
  /** What is sent when a socket has opened. */
  readonly frames: Uint8Array<ArrayBuffer>;
}

const encoder = new TextEncoder();
const latin1 = (text: string) =>
  Uint8Array.from(text, (char) => char.charCodeAt(0));

/** Makes requests: always the same for the same random numbers. */
class Requests {
  readonly #random: Random;
  readonly #told: Told;
  readonly #who: Who;
  readonly #cwd: string;

  constructor(random: Random, told: Told, who: Who, cwd: string) {
    this.#random = random;
    this.#told = told;
    this.#who = who;
    this.#cwd = cwd;
  }

  /** The right one mostly, else one of the wrong ones. */
  #mostly<T>(right: T, wrong: readonly T[]): T {
    return this.#random.below(8) === 0 ? this.#random.pick(wrong) : right;
  }

  next(): Sent {
    const random = this.#random;
    const { port } = this.#told;
    const here = `127.0.0.1:${port}`;
    const host = this.#mostly<string | undefined>(here, [
      ...[undefined, "", "evil.example", `evil.example:${port}`, "[::1", "a b"],
      ...["127.0.0.1:99999", `127.0.0.1.evil.example:${port}`, this.#scrap()],
    ]);
    const origin = this.#mostly<string | undefined>(`http://${here}`, [
      ...[undefined, "null", "http://evil.example", `https://${here}`],
      ...[`http://localhost:${port}`, "http://127.0.0.1:1", this.#scrap()],
    ]);
    const site = this.#mostly<string | undefined>(undefined, [
      ...["cross-site", "same-site", "same-origin", "none", this.#scrap()],
    ]);
    const kind = random.pick(["visit", "file", "action", "action", "socket"]);
    const own = this.#token();
    const cookie = this.#mostly<string | undefined>(own, [undefined, "x"]);
    const method = kind === "action"
      ? "POST"
      : this.#mostly("GET", ["POST", "HEAD", "PUT", "OPTIONS", "CONNECT"]);
    // Nobody but who has a token knows its folder.
    const folder = this.#mostly(folderOf(own), ["", "/", "/12345678"]);
    const asked = this.#path(kind, own);
    const path = asked.startsWith("/?token=") ? asked : folder + asked;
    const body = method === "POST" ? this.#body() : undefined;
    const upgrade = kind === "socket" && this.#mostly(true, [false]);
    const headers: [string, string | undefined][] = [
      ["Host", host],
      ["Origin", origin],
      ["Sec-Fetch-Site", site],
      [
        "Cookie",
        cookie && `a=b; codex_session=${cookie}; ${this.#scrap()}`,
      ],
      [
        "Content-Type",
        body && this.#mostly("application/json", ["text/plain"]),
      ],
      ["Content-Length", body && this.#length(encoder.encode(body).length)],
      ["Connection", upgrade ? "Upgrade" : "close"],
      [
        "Upgrade",
        upgrade ? this.#mostly("websocket", ["h2c", "x"]) : undefined,
      ],
      ["Sec-WebSocket-Key", upgrade ? "AAAAAAAAAAAAAAAAAAAAAA==" : undefined],
      [
        "Sec-WebSocket-Version",
        upgrade ? this.#mostly("13", ["8", "x"]) : undefined,
      ],
      [`X-${random.below(100)}`, this.#scrap()],
    ];
    const head = headers.filter(([, value]) => value !== undefined)
      .map(([name, value]) => `${name}: ${value}\r\n`).join("");
    const line = `${method} ${path} ${this.#mostly("HTTP/1.1", ["HTTP/1.0"])}`;
    const whole = new Uint8Array([
      ...latin1(`${line}\r\n${head}\r\n`),
      ...encoder.encode(body ?? ""),
    ]);
    const isDamaged = random.below(6) === 0;
    const isHere = host === here &&
      (origin === undefined
        ? method === "GET" && !upgrade
        : origin === `http://${here}`);
    const isOurs = [undefined, "same-origin", "none"].includes(site) ||
      leadsToPage(path);
    const isKnown = this.#who !== "stranger";
    return {
      bytes: isDamaged ? damage(random, whole) : whole,
      isWhole: !isDamaged && body === undefined && method !== "CONNECT",
      asksForSocket: upgrade,
      isAllowed: isKnown && (isDamaged || (isHere && isOurs)),
      frames: this.#frames(),
    };
  }

  /** The token that the sender has; a stranger guesses. */
  #token(): string {
    const random = this.#random;
    const { token, readOnlyToken } = this.#told;
    if (this.#who === "owner") return token;
    if (this.#who === "looker") return readOnlyToken;
    const noise = Array.from(
      { length: 43 },
      () => random.below(36).toString(36),
    );
    return random.pick([
      noise.join(""),
      ...["", "null", "undefined", "*", "true", "0", "__proto__"],
      ...[`${"A".repeat(43)}`, this.#scrap()],
    ]);
  }

  /** Text without a line break, for a header or a path. */
  #scrap(): string {
    return junk(this.#random).replace(/[\r\n\0]/g, "")
      .replace(/[^\x20-\xff]/g, "?");
  }

  #path(kind: string, token: string): string {
    const random = this.#random;
    const id = encodeURIComponent(
      random.pick([...INSIDE, ...OUTSIDE, ...OWN, "..", this.#scrap()])
        .toWellFormed(),
    );
    switch (kind) {
      case "visit":
        return random.pick([
          ...["/", "/?again", "/?", `/?token=${encodeURIComponent(token)}`],
          ...["/?token=", "/?token=x&token=y", "//", "/.", "/index.html"],
        ]);
      case "file":
        return random.pick([
          ...["/page.js", "/page.css", "/xterm.js", "/icon.svg", "/proof"],
          ...["/%70age.js"],
          ...["/../../etc/passwd", "/..%2f..%2fetc/passwd", "/page.js/..", "*"],
          ...["/page.js%00", "//evil.example/page.js", "/__proto__", "/%ff"],
          ...["http://evil.example/page.js", "/web/server.ts", "/meta.json"],
          ...[`/${"a".repeat(random.below(70_000))}`, this.#scrap()],
        ]);
      case "action":
        return `/api/${
          random.pick([
            ...["agents", "answer", "delete", "keys", "restart", "resume"],
            ...["send", "start", "stop", "start", "send"],
            ...["constructor", "__proto__", "rows", "", this.#scrap()],
          ])
        }`;
      default:
        return random.pick([
          "/api/rows",
          `/api/log?id=${id}`,
          `/api/attach?id=${id}`,
          `/api/attach?id=${id}&columns=${random.below(2000)}&rows=20`,
          `/api/attach?id=${id}&look=${random.below(2)}&look=0`,
          `/api/log?id=${id}&born=${encodeURIComponent(new Date(0).toJSON())}`,
        ]);
    }
  }

  #length(right: number): string {
    return this.#mostly(String(right), ["0", String(right + 5), "-1", "9e9"]);
  }

  #body(): string {
    const random = this.#random;
    const id = this.#mostly<unknown>(random.pick([...OWN, ...INSIDE]), [
      ...["out-done", "nobody", anything(random)],
    ]);
    const args: Record<string, unknown> = random.pick<Record<string, unknown>>([
      { id },
      { id, text: junk(random), force: true },
      { id, text: junk(random, 20), enter: false },
      { id, keys: ["enter"] },
      { id, force: true },
      { id, command: random.pick([["true"], ["cat"], ["sleep", "1"]]) },
      { id, command: ["cat"], kind: "repl", cwd: this.#cwd },
      { id, agent: "codex", prompt: junk(random), kind: "exec" },
      { id, born: new Date(0).toJSON() },
    ]);
    if (random.below(4) === 0) args[junk(random, 1)] = anything(random);
    const text = random.below(8) === 0
      ? JSON.stringify(anything(random)) ?? ""
      : JSON.stringify(args);
    return random.below(60) === 0
      ? "[".repeat(random.below(1_200_000))
      : text.toWellFormed();
  }

  /** What goes into a socket: messages, and noise that is none. */
  #frames(): Uint8Array<ArrayBuffer> {
    const random = this.#random;
    const frames: number[] = [];
    for (let i = random.below(5); i > 0; i--) {
      const text = random.pick([
        JSON.stringify({ type: "look", ids: [...INSIDE] }),
        JSON.stringify({ type: "resize", columns: random.below(300), rows: 9 }),
        JSON.stringify(anything(random)) ?? "",
        junk(random, 20),
      ]);
      const data = encoder.encode(text).subarray(0, 125);
      const opcode = this.#mostly(random.pick([1, 2]), [0, 3, 8, 9, 10, 15]);
      const isMasked = this.#mostly(true, [false]);
      frames.push(0x80 | opcode, (isMasked ? 0x80 : 0) | data.length);
      if (isMasked) frames.push(0, 0, 0, 0);
      frames.push(...data);
    }
    const bytes = new Uint8Array(frames);
    return random.below(3) === 0 ? damage(random, bytes) : bytes;
  }
}

/** Links of other sites may lead to the page. */
function leadsToPage(path: string): boolean {
  const url = `http://127.0.0.1${path}`;
  return URL.canParse(url) && /^\/([\w-]{8}\/)?$/.test(new URL(url).pathname);
}

/** Sends one request; what is wrong with the answer. */
async function exchange(
  { bytes, isWhole, isAllowed, asksForSocket, frames }: Sent,
  told: Told,
): Promise<string[]> {
  using connection = await Deno.connect({
    hostname: "127.0.0.1",
    port: told.port,
  });
  let answer = "";
  const reading = (async () => {
    const buffer = new Uint8Array(64 * 1024);
    const decoder = new TextDecoder("latin1");
    let isOpen = false;
    for (;;) {
      const length = await connection.read(buffer);
      if (length === null) return;
      if (answer.length < 1_000_000) {
        answer += decoder.decode(buffer.subarray(0, length), { stream: true });
      }
      if (isOpen || !answer.includes("\r\n\r\n")) continue;
      if (!/^HTTP\/1\.[01] 101 /.test(answer)) {
        // A refused socket stays a connection for requests.
        if (asksForSocket) return;
        continue;
      }
      isOpen = true;
      await connection.write(frames);
      setTimeout(() => connection.closeWrite().catch(() => {}), SOCKET_MS);
    }
  })().catch(() => {}); // It is reset, as a damaged request may be.
  try {
    await connection.write(bytes);
    if (!isWhole) {
      await pause(5);
      await connection.closeWrite();
    }
  } catch {
    // The server has said no before the end.
  }
  let isLate = false;
  const timer = setTimeout(() => {
    isLate = true;
    connection.close();
  }, ANSWER_MS);
  await reading;
  clearTimeout(timer);
  return complaintsAbout(answer, { isWhole, isAllowed, isLate }, told);
}

function complaintsAbout(
  answer: string,
  { isWhole, isAllowed, isLate }: {
    readonly isWhole: boolean;
    readonly isAllowed: boolean;
    readonly isLate: boolean;
  },
  { token, readOnlyToken }: Told,
): string[] {
  const found: string[] = [];
  const status = Number(/^HTTP\/1\.[01] (\d{3}) /.exec(answer)?.[1] ?? 0);
  const shown = JSON.stringify(answer.slice(0, 300));
  if (isLate) found.push(`no end: ${shown}`);
  if (isWhole && status === 0) found.push(`no answer: ${shown}`);
  if (status >= 500 && /has failed/.test(answer)) {
    found.push(`failed: ${shown}`);
  }
  if (!isAllowed && (status === 101 || (status >= 200 && status < 400))) {
    found.push(`let in: ${shown}`);
  }
  const body = answer.replace(/^set-cookie: .*$/m, "");
  if (body.includes(token) || body.includes(readOnlyToken)) {
    found.push(`tells a token: ${shown}`);
  }
  if (!isAllowed && answer.includes(SECRET)) found.push(`tells: ${shown}`);
  if (/\bat \S+ \(?(file|ext):/.test(answer)) found.push(`a stack: ${shown}`);
  return found;
}

/** What sessions are, but for who was attached to them. */
function look(world: World): Map<string, string> {
  const seen = lookAt([world.root], { isShown: true });
  for (const path of seen.keys()) {
    if (/\/(events\.jsonl|terminal\.json)$/.test(path)) seen.delete(path);
  }
  return seen;
}

async function fuzzWeb(
  { short, seed, random, over, count }: Context,
  who: Who,
): Promise<void> {
  await using world = await World.make();
  const cwd = Deno.realPathSync(world.dir) + "/mine";
  Deno.mkdirSync(`${cwd}/bin`, { recursive: true });
  Deno.writeTextFileSync(`${cwd}/bin/codex`, "#!/bin/sh\nexec cat\n", {
    mode: 0o755,
  });
  await populate(world.root, world.root, cwd);
  await createSession({ root: world.root, id: "s0", command: ["true"] });
  const [program, ...args] = [...CLI, "web", "--port", "0", "--json"];
  await using child = new Deno.Command(program!, {
    args,
    cwd,
    clearEnv: true,
    env: {
      CODEX_SESSION_HOME: world.root,
      DENO_DIR: Deno.env.get("DENO_DIR") ??
        `${Deno.env.get("HOME")}/.cache/deno`,
      FAULTS_WORLD: world.dir,
      DENO_TLS_CA_STORE: Deno.env.get("DENO_TLS_CA_STORE") ?? "system",
      HOME: cwd,
      NO_COLOR: "1",
      PATH: `${cwd}/bin:/usr/bin:/bin`,
    },
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const errors = new Response(child.stderr).text();
  const reader = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
  const told: Told = JSON.parse((await reader.read()).value!);
  const complaints: Complaint[] = [];
  const complain = (text: string) =>
    complaints.push({ case: `seed ${seed}`, text });
  const requests = new Requests(random, told, who, cwd);
  const before = look(world);
  const files = openFiles(child.pid);
  const total = short ? SHORT_REQUESTS : REQUESTS;
  let done = 0;
  const worker = async () => {
    while (done < total && !over() && complaints.length < 20) {
      done++;
      const sent = requests.next();
      try {
        for (const text of await exchange(sent, told)) {
          const asked = new TextDecoder("latin1").decode(sent.bytes);
          complain(`${text} to ${JSON.stringify(asked.slice(0, 600))}`);
        }
      } catch (error) {
        return complain(`after ${done}: ${error}`);
      }
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
  const headers = { cookie: `codex_session=${told.token}` };
  try {
    const url = `http://127.0.0.1:${told.port}${folderOf(told.token)}/`;
    const { status, body } = await fetch(url, { headers });
    await body?.cancel();
    if (status !== 200) complain(`the page has status ${status} at the end`);
    const now = () => openFiles(child.pid);
    if (!await until(() => now() <= files + ROOM, 5000)) {
      complain(`${files} open files at the start, ${now()} at the end`);
    }
    const peak = peakMemory(child.pid);
    if (peak > MAX_RSS) complain(`it has had ${peak} bytes of memory`);
    child.kill("SIGTERM");
  } catch (error) {
    complain(`it has ended: ${error}`);
  }
  const { code } = await child.status;
  if (code !== 0) complain(`its status is ${code}`);
  const stderr = await errors;
  await reader.cancel();
  if (stderr !== "") complain(`on standard error: ${stderr.slice(0, 500)}`);
  if (!await until(() => leftBy(world).length === 0, 3000)) {
    complain(`it leaves ${leftBy(world)}`);
  }
  if (who !== "owner") {
    await until(() => differences(before, look(world)).length === 0, 3000);
    differences(before, look(world)).forEach(complain);
  }
  for (const text of await judge(world)) complain(text);
  count(done, complaints);
}

/** All faults of this file. */
export const FUZZ_WEB_FAULTS: readonly Fault[] = [
  {
    name: "fuzz-web-stranger",
    about: "requests to the page's server by somebody without a token",
    run: (context) => fuzzWeb(context, "stranger"),
  },
  {
    name: "fuzz-web-looker",
    about: "the same with the token for looking, which changes nothing",
    run: (context) => fuzzWeb(context, "looker"),
  },
  {
    name: "fuzz-web-owner",
    about: "the same with the token for everything",
    run: (context) => fuzzWeb(context, "owner"),
  },
];
