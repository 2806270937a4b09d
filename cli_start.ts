/**
 * The commands that start and attach: `create`, `run`, `attach`.
 *
 * @module
 */
import { type Handler, type Io, OK, onlyOperand, valueOf } from "./cli_io.ts";
import { type CreateOptions, createSession } from "./create.ts";
import { ArgumentError, SessionError } from "./errors.ts";
import {
  harmless,
  harmlessJson,
  parseCount,
  parsePair,
  parsePeriod,
  parseSize,
} from "./format.ts";
import type { Parsed } from "./options.ts";
import type { Scope } from "./scope.ts";
import { exitStatus } from "./signals.ts";
import type { Kind } from "./store.ts";
import type { FinalState } from "./watch.ts";

/** `create`: the Codex agent of a kind. */
export const create: Handler = async (call, io) => {
  const [kind, ...rest] = call.operands;
  if (kind !== "exec" && kind !== "repl" && kind !== "pty") {
    throw new ArgumentError(
      kind === undefined
        ? "Name the kind of agent: exec, repl or pty"
        : `Unknown kind "${kind}": use exec, repl or pty; for another command: codex-session run`,
    );
  }
  const args = rest[0] === "--" ? rest.slice(1) : rest;
  const { codexProgram } = await import("./program.ts");
  const command = [...codexProgram(kind), ...args];
  return await start(call, io, { kind, command, prompt: args.join(" ") });
};

/** `run`: any command. */
export const run: Handler = async (call, io) => {
  if (call.operands.length === 0) {
    throw new ArgumentError("Name the command to run");
  }
  const { flags } = call;
  if (flags.has("tty") && flags.has("interactive")) {
    throw new ArgumentError(
      "Use either --tty or --interactive: a terminal takes input, too",
    );
  }
  const kind = flags.has("tty")
    ? "pty"
    : flags.has("interactive")
    ? "repl"
    : "exec";
  return await start(call, io, { kind, command: call.operands });
};

async function start(
  call: Parsed,
  io: Io,
  what: Pick<CreateOptions, "command" | "prompt"> & { readonly kind: Kind },
): Promise<number> {
  const timeout = valueOf(call, "timeout");
  const terminal = await terminalOptions(call, what.kind);
  const attaching = call.flags.has("attach");
  // Attached before the agent starts: with --rm it may be over and gone at once.
  const attach = attaching && what.kind !== "pty"
    ? await attacher(io)
    : undefined;
  let attached: Promise<number> | undefined;
  const session = await createSession({
    ...what,
    ...terminal,
    id: valueOf(call, "id"),
    cwd: valueOf(call, "cwd"),
    env: environmentOf(call),
    labels: Object.fromEntries(
      (call.values.get("label") ?? []).map((text) => parsePair(text, "label")),
    ),
    timeoutMs: timeout === undefined ? undefined : parsePeriod(timeout),
    rm: call.flags.has("rm"),
    scope: valueOf(call, "scope") as Scope | undefined, // createSession checks it.
    beforeStart: ({ id }) => attached = attach?.(id),
  });
  const { id, paths, pids } = session;
  if (attached !== undefined) {
    io.err(`Session ${id}\n`);
    return await attached;
  }
  if (attaching) return await attachScreen(id, io, call);
  io.out(
    io.json
      ? harmlessJson({ id, dir: paths.dir, pid: pids.agent }) + "\n"
      : `${id}\n`,
  );
  return OK;
}

/** What concerns terminals only; refused for other kinds, so that nobody waits for its effect. */
async function terminalOptions(
  call: Parsed,
  kind: Kind,
): Promise<Partial<CreateOptions>> {
  const size = valueOf(call, "size");
  const limit = valueOf(call, "log-limit");
  if (kind !== "pty") {
    if (size !== undefined || limit !== undefined) {
      throw new ArgumentError(
        "--size and --log-limit are for terminals only (kind pty)",
      );
    }
    return {};
  }
  const match = /^(\d{1,4})x(\d{1,4})$/.exec(size ?? "120x40");
  const [columns, rows] = [Number(match?.[1]), Number(match?.[2])];
  if (!(columns > 0 && columns <= 1000 && rows > 0 && rows <= 1000)) {
    throw new ArgumentError(
      `Invalid size "${size}": write it like 120x40, each from 1 to 1000`,
    );
  }
  const { ownLauncher } = await import("./relay_command.ts");
  return {
    columns,
    rows,
    logLimitBytes: limit === undefined ? undefined : parseSize(limit),
    relayCommand: ownLauncher(Deno.mainModule),
  };
}

/** Variables of `--env-file` and `--env`; the latter win. */
function environmentOf(call: Parsed): Record<string, string> {
  const env: Record<string, string> = {};
  for (const file of call.values.get("env-file") ?? []) {
    let text: string;
    try {
      text = Deno.readTextFileSync(file);
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
      throw new ArgumentError(`Cannot read "${file}": there is no such file`);
    }
    for (const line of text.split(/\r?\n/)) {
      if (line.trim() === "" || line.trimStart().startsWith("#")) continue;
      const [name, value] = parsePair(line, `line in ${file}`);
      env[name.trim()] = value;
    }
  }
  for (const text of call.values.get("env") ?? []) {
    const [name, value] = parsePair(text, "environment variable");
    env[name] = value;
  }
  return env;
}

/** `attach`: live output and typed lines, or a screen. */
export const attach: Handler = async (call, io) => {
  const { resolveSelector } = await import("./sessions.ts");
  const { id, meta } = await resolveSelector(onlyOperand(call, "one session"));
  if (meta?.kind === "pty") return await attachScreen(id, io, call);
  const tail = valueOf(call, "tail");
  const attach = await attacher(io, {
    tailLines: tail === undefined
      ? undefined
      : parseCount(tail, "number of lines"),
    stderr: call.flags.has("stderr"),
    readOnly: call.flags.has("read-only"),
  });
  return await attach(id);
};

/** Attaches this terminal to that of a session. */
async function attachScreen(id: string, io: Io, call: Parsed): Promise<number> {
  if (!io.stdinIsTerminal || io.columns === undefined) {
    throw new SessionError(
      "unsupported",
      `Cannot attach to terminal session "${id}": standard input and output must be a terminal; see also: codex-session screen, logs, send`,
      { id },
    );
  }
  const { part } = await import("./on_demand.ts");
  const { attachConsole } = await part("terminal_console.ts");
  const result = await attachConsole(id, {
    detachKeys: valueOf(call, "detach-keys"),
    readOnly: call.flags.has("read-only"),
  });
  return afterwards(id, result, io);
}

interface View {
  readonly tailLines?: number;
  readonly stderr?: boolean;
  readonly readOnly?: boolean;
}

/** Attaches this terminal to a session, beginning before it returns. */
async function attacher(
  io: Io,
  { stderr, ...view }: View = {},
): Promise<(id: string) => Promise<number>> {
  const { attachStreams } = await import("./attach_streams.ts");
  return async (id) => {
    const result = await attachStreams(id, {
      ...view,
      stdin: view.readOnly && !io.stdinIsTerminal ? undefined : stdinOf(io),
      stdout: new WritableStream({ write: (bytes) => io.out(bytes) }),
      stderr: stderr ? markedStream(io) : undefined,
      signal: io.interrupted(),
      onNotice: (message) => io.err(`codex-session: ${harmless(message)}\n`),
    });
    return afterwards(id, result, io);
  };
}

/** A terminal's end of file leaves; a file's or pipe's only ends the input. */
function stdinOf(io: Io): ReadableStream<Uint8Array> {
  if (io.stdinIsTerminal) return io.stdin;
  const reader = io.stdin.getReader();
  return new ReadableStream({
    async pull(controller) {
      const { done, value } = await reader.read();
      if (done) await new Promise(() => {});
      else controller.enqueue(value);
    },
    cancel: (reason) => reader.cancel(reason),
  });
}

/** Standard error of the agent, each of its lines marked. */
function markedStream(io: Io): WritableStream<Uint8Array> {
  const decoder = new TextDecoder();
  const mark = io.color ? "\x1b[31m[stderr]\x1b[0m " : "[stderr] ";
  let atStart = true;
  return new WritableStream({
    write(bytes) {
      const text = decoder.decode(bytes, { stream: true });
      if (text === "") return;
      io.err((atStart ? mark : "") + text.replace(/\n(?=[^])/g, `\n${mark}`));
      atStart = text.endsWith("\n");
    },
  });
}

/** How it ended or was left, as this program's own exit status. */
function afterwards(
  id: string,
  result: { readonly detached: true } | { readonly state: FinalState },
  io: Io,
): number {
  if ("detached" in result) {
    io.err(`\nDetached; it runs on. Come back: codex-session attach ${id}\n`);
    return OK;
  }
  const { state } = result;
  if (state.state === "exited") {
    if ("signal" in state.ending) {
      io.err(`Session ${id} ended by ${state.ending.signal}\n`);
    }
    return exitStatus(state.ending);
  }
  const why = state.state === "lost"
    ? "is lost: its supervisor was killed"
    : "was deleted";
  throw new SessionError(
    "wrong_state",
    `Session "${id}" ${why}; how the agent ended is not known`,
    { id },
  );
}
