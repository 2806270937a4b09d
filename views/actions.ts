/**
 * What one can do in a view: one table, the same for the dashboard and the page.
 *
 * What changes nothing, a viewer may do who may only look: whoever takes requests asks the table,
 * and not the action.
 *
 * A view shows what was so a moment ago. So an action names its session by its id and by when that
 * was created (`born`): if another session has the id by now, there is none.
 *
 * @module
 */
import { AGENTS } from "../agents/agents.ts";
import { configured } from "../cli/config.ts";
import { stopOrEnded, usualGrace } from "../cli/ending.ts";
import { withoutCommands } from "../cli/hints.ts";
import { programOf, terminalDefaults } from "../cli/program.ts";
import { defaultAgent } from "../cli/start.ts";
import { sendKeys } from "../client/terminal.ts";
import { programAt } from "../doctor/agents.ts";
import { restartSession, resumeSession } from "../run/again.ts";
import { readAnswer } from "../run/answer.ts";
import { awaitPrompt, sendText } from "../run/typing.ts";
import { cleanText } from "../screen/clean_text.ts";
import { encodeKey } from "../screen/keys.ts";
import { createSession } from "../session/create.ts";
import { getSession, type Session } from "../session/find.ts";
import { deleteSession } from "../session/stop.ts";
import { join } from "../std.ts";
import {
  checkKind,
  type Kind,
  KIND_NAMES,
  KINDS,
  noSuchSession,
} from "../store.ts";
import { isGranted } from "../system/files.ts";
import {
  checkArguments,
  flag,
  pairs,
  type Rules,
  text,
  texts,
} from "./arguments.ts";
import type { ActionName } from "./row.ts";

export type { ActionName };

/** Where an action works. */
export interface ActionContext {
  /** The directory of all sessions. */
  readonly root: string;
  /** Stops the waiting; what is done by then stays done. */
  readonly signal: AbortSignal;
  /** Called with what the user should know, one line each. @default {undefined} */
  readonly onNotice?: ((notice: string) => void) | undefined;
}

/** What one can do. */
export interface Action {
  readonly name: ActionName;
  /** Whether it changes something: then a viewer that may only look may not. */
  readonly changes: boolean;
  /**
   * Does it. The arguments are checked here.
   *
   * @throws {ArgumentError} if they are not what it takes.
   * @throws {SessionError} as the function of the library does.
   */
  run(
    args: unknown,
    context: ActionContext,
  ): Promise<Readonly<Record<string, unknown>>>;
}

/** An id, however long: the library refuses what is none. */
const ID = text(200);
const TARGET: Rules = { "id": ID, "born?": text(40) };
/** The longest text that is sent, in UTF-16 units. */
const MOST_TEXT = 1024 * 1024;
/** On Linux an argument has 128 KiB at most. */
const MOST_ARGUMENT = 128 * 1024;
/** The longest answer that is given, in UTF-16 units. */
const MOST_ANSWER = 1024 * 1024;

/** The session that an action is for. */
interface Target {
  readonly id: string;
  readonly born?: string;
}

/** Makes an action whose arguments are checked. */
function action<Args>(
  { name, changes, takes, run }:
    & Pick<Action, "name" | "changes">
    & {
      readonly takes: Rules;
      readonly run: (
        args: Args,
        context: ActionContext,
      ) => Promise<Readonly<Record<string, unknown>>>;
    },
): Action {
  return {
    name,
    changes,
    async run(args, context) {
      checkArguments(name, args, takes);
      context.signal.throwIfAborted();
      return await run(args as Args, context);
    },
  };
}

/**
 * The session that is meant.
 *
 * @throws {SessionError} `not_found`, also if a later one has its id.
 */
async function targetOf(
  { id, born }: Target,
  { root }: ActionContext,
): Promise<Session> {
  const session = await getSession(id, { root });
  if (born === undefined || session.createdAt.toISOString() === born) {
    return session;
  }
  throw noSuchSession(id);
}

interface Start {
  readonly agent?: string;
  readonly prompt?: string;
  readonly command?: readonly string[];
  readonly kind?: Kind;
  readonly id?: string;
  readonly cwd?: string;
  readonly labels?: Readonly<Record<string, string>>;
}

const start = action<Start>({
  name: "start",
  changes: true,
  takes: {
    "agent?": text(50),
    "prompt?": text(MOST_ARGUMENT),
    "command?": texts(1000, MOST_ARGUMENT),
    "kind?": text(20),
    "id?": ID,
    "cwd?": text(4096),
    "labels?": pairs(50, 1000),
  },
  async run(args, { root, signal }) {
    const { kind, id, cwd, labels } = args;
    if (kind !== undefined) checkKind(kind);
    const what = await programOf(args);
    const created = await createSession({
      ...what,
      ...terminalDefaults(what.kind),
      ...(id !== undefined && { id }),
      ...(cwd !== undefined && { cwd: atHome(cwd) }),
      ...(labels !== undefined && { labels }),
      root,
      notify: configured("notify") || undefined,
      signal,
    });
    return { id: created.id, born: created.meta.createdAt };
  },
});

/** A directory as people write it: `~/project`. */
function atHome(path: string): string {
  if (path !== "~" && !path.startsWith("~/")) return path;
  const mayAsk = isGranted({ name: "env", variable: "HOME" });
  const home = mayAsk ? Deno.env.get("HOME") : undefined;
  return home ? join(home, path.slice(1)) : path;
}

interface Send extends Target {
  readonly text: string;
  readonly enter?: boolean;
  readonly force?: boolean;
}

const send = action<Send>({
  name: "send",
  changes: true,
  takes: {
    ...TARGET,
    "text": text(MOST_TEXT),
    "enter?": flag,
    "force?": flag,
  },
  async run(args, context) {
    const { text, enter, force } = args;
    const { signal } = context;
    const session = await targetOf(args, context);
    await awaitPrompt(session, { force, signal });
    // It may have waited for seconds.
    await sendText(await targetOf(args, context), text, { enter, signal });
    return { id: session.id };
  },
});

const keys = action<Target & { readonly keys: readonly string[] }>({
  name: "keys",
  changes: true,
  takes: { ...TARGET, "keys": texts(100, 30) },
  async run(args, context) {
    const { keys } = args;
    const { root, signal } = context;
    keys.forEach((key) => encodeKey(key)); // Before any of them is pressed.
    const { id } = await targetOf(args, context);
    await sendKeys(id, keys.map((key) => ({ key })), { root, signal });
    return { id };
  },
});

const answer = action<Target>({
  name: "answer",
  changes: false,
  takes: TARGET,
  async run(args, context) {
    const { id } = await targetOf(args, context);
    const said = await readAnswer(id, { root: context.root });
    const clean = cleanText(said.text.slice(0, MOST_ANSWER));
    return { ...said, text: clean, isCut: said.text.length > MOST_ANSWER };
  },
});

const stop = action<Target>({
  name: "stop",
  changes: true,
  takes: TARGET,
  async run(args, context) {
    const { root, signal, onNotice } = context;
    const { id, createdAt } = await targetOf(args, context);
    const graceMs = usualGrace(onNotice);
    const how = { root, signal, onNotice, graceMs, createdAt };
    const { state } = await stopOrEnded(id, how);
    return { id, state: state.state };
  },
});

interface Again extends Target {
  readonly prompt?: string;
  readonly force?: boolean;
}

const resume = action<Again>({
  name: "resume",
  changes: true,
  takes: { ...TARGET, "prompt?": text(MOST_ARGUMENT), "force?": flag },
  async run(args, context) {
    const { prompt, force } = args;
    const session = await targetOf(args, context);
    const created = await resumeSession(session.id, {
      ...againIn(session, context),
      ...(prompt !== undefined && { prompt }),
      ...(force !== undefined && { force }),
    });
    return { id: created.id, born: created.meta.createdAt };
  },
});

const restart = action<Omit<Again, "prompt">>({
  name: "restart",
  changes: true,
  takes: { ...TARGET, "force?": flag },
  async run(args, context) {
    const { force } = args;
    const session = await targetOf(args, context);
    const created = await restartSession(session.id, {
      ...againIn(session, context),
      ...(force !== undefined && { force }),
    });
    return { id: created.id, born: created.meta.createdAt };
  },
});

/** What a session gets that takes up an earlier one; its terminal keeps its size. */
function againIn(
  { meta }: Session,
  { root, signal, onNotice }: ActionContext,
) {
  const limit = meta !== null && KINDS[meta.kind].isTerminal
    ? { logLimitBytes: configured("logLimit") }
    : {};
  const notify = meta?.notify === undefined && configured("notify");
  const tell = (notice: string) => onNotice?.(withoutCommands(notice));
  const options = { root, signal, onNotice: tell, ...limit };
  return { ...options, ...(notify && { notify }) };
}

const remove = action<Target & { readonly force?: boolean }>({
  name: "delete",
  changes: true,
  takes: { ...TARGET, "force?": flag },
  async run(args, context) {
    const { force } = args;
    const { root, signal, onNotice } = context;
    const { id, createdAt } = await targetOf(args, context);
    const graceMs = usualGrace(onNotice);
    const how = { root, signal, onNotice, graceMs, createdAt };
    await deleteSession(id, { ...how, ...(force !== undefined && { force }) });
    return { id };
  },
});

const agents = action<unknown>({
  name: "agents",
  changes: false,
  takes: {},
  // deno-lint-ignore require-await
  async run() {
    const path = Deno.env.get("PATH") ?? "";
    const installed = AGENTS.filter((agent) => programAt(path, agent))
      .map(({ name, commands }) => ({
        name,
        kinds: KIND_NAMES.filter((kind) => commands[kind] !== undefined),
      }));
    return { agents: installed, usual: usualAgent() };
  },
});

/** The agent that is started if none is named; `null` if the user's configuration is wrong. */
function usualAgent(): string | null {
  try {
    return defaultAgent();
  } catch {
    return null; // Starting tells why.
  }
}

/** The table. */
export const ACTIONS: Readonly<Record<ActionName, Action>> = {
  agents,
  answer,
  delete: remove,
  keys,
  restart,
  resume,
  send,
  start,
  stop,
};
