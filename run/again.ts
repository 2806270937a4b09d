/**
 * A session that takes up an earlier one: `resume` goes on with its conversation, `restart` runs
 * its command again. The earlier session stays as it is.
 *
 * What was recorded decides: kind, directory, labels, the size of the terminal. The values of
 * variables are never recorded, and an agent's options may be meant for one turn only; so neither
 * is carried over, and the caller is told.
 *
 * @module
 */
import type { Agent } from "../agents/agent.ts";
import { recognizeAgent } from "../agents/recognize.ts";
import { windowSize } from "../client/terminal_status.ts";
import {
  ArgumentError,
  checkOptions,
  checkString,
  checkStrings,
  SessionError,
} from "../errors.ts";
import {
  agentOf,
  type KnownConversation,
  knownConversation,
  recordedConversation,
} from "../events/conversation.ts";
import {
  checkHow,
  type CreatedSession,
  type CreateOptions,
  createSession,
} from "../session/create.ts";
import { getSession, type Session, sessionsNow } from "../session/find.ts";
import { labelsAgain } from "../session/parent.ts";
import { stopSession } from "../session/stop.ts";
import { basename } from "../std.ts";
import {
  describeState,
  isLive,
  type Kind,
  KINDS,
  type Meta,
  type RootOptions,
} from "../store.ts";
import { pause } from "../system/pause.ts";

/** Options of {@linkcode restartSession}. */
export interface RestartOptions extends
  Omit<
    CreateOptions,
    "command" | "kind" | "cwd" | "agent" | "prompt" | "resumes" | "restarts"
  > {
  /**
   * Stop the session first if it is running.
   *
   * @default {false}
   */
  readonly force?: boolean;
  /** Called with what its user should know, one line each: what is not carried over. */
  readonly onNotice?: (notice: string) => void;
}

/** Options of {@linkcode resumeSession}. */
export interface ResumeOptions extends RestartOptions {
  /** What to ask the agent. Kind `exec` needs one. */
  readonly prompt?: string;
  /**
   * How the new session takes its input: an `exec` conversation can go on in a terminal.
   *
   * @default {the same kind}
   */
  readonly kind?: Kind;
  /** Arguments of the agent, before those that name the conversation. @default {[]} */
  readonly agentArgs?: readonly string[];
}

/** How a session takes up an earlier one. */
export interface Plan extends CreateOptions {
  readonly kind: Kind;
}

/**
 * Starts a new session that goes on with the conversation of an earlier one: with the same agent,
 * kind, directory and labels. Works for sessions that have ended or are lost.
 *
 * Needs the permissions of `createSession()` and `readAnswer()`.
 *
 * @throws {SessionError} `wrong_state` if it is running, or another session goes on with its
 * conversation; `no_conversation` if that isn't known for certain; `unsupported` if its agent
 * can't go on in this way, or was started by way of another program; `not_found`; and like `createSession()`.
 * @throws {ArgumentError} if its kind needs a prompt.
 *
 * @example
 * ```ts
 * import { createSession, resumeSession, waitForSession } from "./mod.ts";
 * const command = ["codex", "exec", "explain this"];
 * const { id } = await createSession({ command });
 * await waitForSession(id);
 * await resumeSession(id, { prompt: "now write it down" });
 * ```
 */
export async function resumeSession(
  id: string,
  options: ResumeOptions = {},
): Promise<CreatedSession> {
  checkString("id", id);
  checkResume(options);
  // Those are in the plan.
  const { prompt: _, kind: __, agentArgs: ___, ...rest } = options;
  const session = await getSession(id, rootOf(options));
  const plan = await planResume(session, options);
  return await start(session, plan, rest);
}

/**
 * Runs the command of a session again, in a new one: with the same kind, directory and labels.
 *
 * Needs the permissions of `createSession()`.
 *
 * @throws {SessionError} `wrong_state` if it is running; `not_found`; and like `createSession()`.
 *
 * @example
 * ```ts
 * import { createSession, restartSession, waitForSession } from "./mod.ts";
 * const { id } = await createSession({ command: ["make", "test"] });
 * await waitForSession(id);
 * await restartSession(id);
 * ```
 */
export async function restartSession(
  id: string,
  options: RestartOptions = {},
): Promise<CreatedSession> {
  checkString("id", id);
  checkRestart(options);
  const session = await getSession(id, rootOf(options));
  return await start(session, planRestart(session, options), options);
}

function checkRestart(options: RestartOptions): void {
  checkOptions(options, { force: "boolean", onNotice: "function" });
  checkHow(options);
}

function checkResume(options: ResumeOptions): void {
  checkRestart(options);
  checkStrings("agentArgs", options.agentArgs ?? []);
}

function rootOf({ root }: RootOptions): RootOptions {
  return root === undefined ? {} : { root };
}

async function start(
  session: Session,
  plan: Plan,
  { force: _, onNotice: __, ...options }: RestartOptions,
): Promise<CreatedSession> {
  const { root, signal } = options;
  await makeWay(session, { root, signal });
  return await createSession({
    ...plan,
    ...options,
    beforeStart: (created) => {
      plan.beforeStart?.(created);
      options.beforeStart?.(created);
    },
    env: { ...plan.env, ...options.env },
    labels: { ...plan.labels, ...options.labels },
  });
}

/** Stops a session that is running. */
export async function makeWay(
  { id }: Session,
  options: RootOptions & { readonly signal?: AbortSignal } = {},
): Promise<void> {
  const { state } = await getSession(id, rootOf(options));
  if (isLive(state)) await stopSession(id, options);
}

/** What to start in order to go on with the conversation of a session. See {@linkcode resumeSession}. */
export async function planResume(
  session: Session,
  options: ResumeOptions,
): Promise<Plan> {
  const { prompt, agentArgs = [], force = false } = options;
  const { id } = session;
  const meta = metaOf(session, "resume");
  const kind = options.kind ?? meta.kind;
  const conversation = knownConversation(session);
  if (conversation === undefined) throw unknownConversation(id, meta);
  const { agent } = conversation;
  refuseWrapper(id, meta, conversation);
  const lines = agent.commands[kind];
  const goesOn = lines?.resume(conversation.id, prompt);
  if (lines === undefined || goesOn === undefined) {
    throw cannotGoOn(id, agent, kind, prompt);
  }
  if (!force) {
    const next = KINDS[meta.kind].accepts.length > 0
      ? `to ask it now: codex-session send ${id} 'TEXT'`
      : `to wait for its end: codex-session wait ${id}`;
    refuseRunning(session, "resume", next);
  }
  checkRecord(id, conversation);
  refuseSecond(session, conversation, options);
  const program = await programFor(meta.argv, agent, kind);
  const command = [...program, ...agentArgs, ...goesOn];
  noteOptions(id, agent, meta.argv, command, options);
  return {
    ...planFrom(session, meta, kind, {
      ...options,
      env: { ...homeFor(conversation), ...options.env },
    }),
    command,
    agent: agent.name,
    ...(prompt !== undefined && { prompt }),
    resumes: id,
    beforeStart: (created) =>
      yieldToFirst(session, conversation, created.id, options),
  };
}

/** What to start in order to repeat the command of a session. See {@linkcode restartSession}. */
export function planRestart(session: Session, options: RestartOptions): Plan {
  const meta = metaOf(session, "restart");
  if (!options.force) {
    refuseRunning(session, "restart", "stop it first, or use force (-f)");
  }
  const { agent, args = [] } = recognizeAgent(meta.argv) ?? {};
  const program = meta.argv.slice(0, meta.argv.length - args.length);
  const command = agent?.withNewId === undefined
    ? meta.argv
    : [...program, ...agent.withNewId(args, crypto.randomUUID())];
  return {
    ...planFrom(session, meta, meta.kind, options),
    command,
    ...(meta.agent !== undefined && { agent: meta.agent }),
    prompt: meta.prompt,
    restarts: session.id,
  };
}

/** What both take over. */
function planFrom(
  { id, paths }: Session,
  meta: Meta,
  kind: Kind,
  { env = {}, onNotice }: RestartOptions,
): Omit<Plan, "command"> {
  const left = meta.env.filter((name) => !Object.hasOwn(env, name));
  if (left.length > 0) {
    onNotice?.(
      `the values of variables are not stored; session "${id}" had ${
        left.join(", ")
      }: set them with -e`,
    );
  }
  const { cwd, timeoutMs, notify } = meta;
  const wasTerminal = KINDS[meta.kind].isTerminal;
  return {
    kind,
    cwd,
    labels: labelsAgain(paths, meta),
    env,
    ...(timeoutMs !== undefined && { timeoutMs }),
    ...(notify !== undefined && { notify }),
    ...(KINDS[kind].isTerminal && wasTerminal && windowSize(paths)),
  };
}

function metaOf({ id, meta, state }: Session, what: string): Meta {
  if (meta !== null) return meta;
  const message = `Cannot ${what} session "${id}": ${describeState(state)}`;
  throw new SessionError("damaged", message, { id });
}

function refuseRunning(
  { id, state }: Session,
  what: string,
  next: string,
): void {
  if (!isLive(state)) return;
  const why = describeState(state);
  const message = `Cannot ${what} session "${id}": ${why}; ${next}`;
  throw new SessionError("wrong_state", message, { id });
}

/** An agent can't go on with a conversation that it has not recorded: none was begun. */
function checkRecord(
  id: string,
  { agent, id: conversation, home }: KnownConversation,
): void {
  if (home === undefined || agent.findTranscript === undefined) return;
  if (agent.findTranscript(conversation, home) !== undefined) return;
  const message =
    `Cannot resume session "${id}": ${agent.name} has no record of its conversation in "${home}": perhaps it was never asked anything; to repeat its command: codex-session restart ${id}`;
  throw new SessionError("no_conversation", message, { id });
}

/**
 * A sandbox, a container, another user, a shell: how the agent is started again behind it isn't
 * known, and without it the agent could do more than it was meant to.
 */
function refuseWrapper(
  id: string,
  { argv, agent: created }: Meta,
  { agent, id: conversation }: KnownConversation,
): void {
  const isItself = recognizeAgent(argv)?.agent === agent ||
    created === agent.name; // `create` takes its program from the environment.
  if (isItself) return;
  const words = agent.commands.pty?.resume(conversation) ?? [conversation];
  const command = [agent.programs.at(-1), ...words].join(" ");
  const message =
    `Cannot resume session "${id}": it started ${agent.name} by way of "${
      argv[0]
    }"; its conversation is ${conversation}: go on with it in the same way, such as: codex-session run -t -- ${
      basename(argv[0]!)
    } … ${command}`;
  throw new SessionError("unsupported", message, { id });
}

/** The other living sessions that have a conversation, the newest first. */
function havingIt(
  { id }: Session,
  conversation: KnownConversation,
  options: RootOptions,
): Session[] {
  return sessionsNow(rootOf(options)).filter((other) =>
    other.id !== id && isLive(other.state) &&
    recordedConversation(other.paths)?.id === conversation.id
  );
}

/** Two agents that go on with one conversation at the same time would mix it up. */
function refuseSecond(
  session: Session,
  conversation: KnownConversation,
  options: RootOptions,
): void {
  const [other] = havingIt(session, conversation, options);
  if (other !== undefined) throw isTaken(session, other);
}

function isTaken({ id }: Session, other: Session): SessionError {
  const message =
    `Cannot resume session "${id}": session "${other.id}" is running and goes on with its conversation; use that one`;
  return new SessionError("wrong_state", message, { id });
}

/** How long a session may take to start, or to give up. */
const START_MS = 5000;

/**
 * Refuses to start the agent of a new session if another `resume` has made one at the same time.
 * Each makes its session before it looks here, so at least one of two sees the other. The younger
 * one gives up. The older one waits, since the younger may have looked before the older was there.
 */
function yieldToFirst(
  session: Session,
  conversation: KnownConversation,
  created: string,
  options: RootOptions,
): void {
  const deadline = performance.now() + START_MS;
  for (;;) {
    const all = havingIt(session, conversation, options);
    const at = all.findIndex(({ id }) => id === created);
    const [older] = all.slice(at + 1);
    const younger = all.slice(0, Math.max(0, at));
    const other = older ??
      younger.find(({ state }) => state.state === "running");
    if (other !== undefined) throw isTaken(session, other);
    const [undecided] = younger;
    if (undecided === undefined) return;
    if (performance.now() > deadline) throw isTaken(session, undecided);
    pause(5);
  }
}

function unknownConversation(id: string, meta: Meta): SessionError {
  const agent = agentOf(meta);
  if (agent === undefined) {
    const message =
      `Cannot resume session "${id}": it runs no agent that is known; to repeat its command: codex-session restart ${id}`;
    return new SessionError("unsupported", message, { id });
  }
  // `create` chooses the id of its conversation.
  const next = agent.withNewId && agent.commands[meta.kind]
    ? `; for one that is known: codex-session create --agent ${agent.name} ${meta.kind}`
    : "";
  const message =
    `Cannot resume session "${id}": it isn't known for certain which conversation of ${agent.name} it had; to repeat its command: codex-session restart ${id}${next}`;
  return new SessionError("no_conversation", message, { id });
}

function cannotGoOn(
  id: string,
  agent: Agent,
  kind: Kind,
  prompt: string | undefined,
): Error {
  const needsPrompt = prompt === undefined && agent.commands[kind]?.needsPrompt;
  if (needsPrompt) {
    return new ArgumentError(
      `Cannot resume session "${id}" as kind ${kind} without a prompt: give one, or use -t for a terminal`,
    );
  }
  const message =
    `Cannot resume session "${id}" as kind ${kind}: ${agent.name} can't go on in that way; use -t for a terminal`;
  return new SessionError("unsupported", message, { id });
}

/** The program of an earlier command, if it has this kind; else the one that `create` takes. */
async function programFor(
  argv: readonly string[],
  agent: Agent,
  kind: Kind,
): Promise<readonly string[]> {
  const lines = agent.commands[kind]!;
  const recognized = recognizeAgent(argv);
  if (recognized?.agent === agent) {
    const words = argv.slice(0, argv.length - recognized.args.length);
    const between = lines.behind === undefined ? [] : lines.behind(words);
    if (between !== undefined) return [...words, ...between];
  }
  return await lines.program();
}

/** The agent's folder, if it would take another one by itself. */
function homeFor(
  { agent, home }: KnownConversation,
): Record<string, string> {
  const { homeOf, homeVariable } = agent;
  if (home === undefined || homeVariable === undefined) return {};
  const own = homeOf?.((name) => Deno.env.get(name));
  return own === home ? {} : { [homeVariable]: home };
}

/** Says which options of the agent are not carried over. */
function noteOptions(
  id: string,
  agent: Agent,
  argv: readonly string[],
  command: readonly string[],
  { onNotice }: RestartOptions,
): void {
  const { args = [] } = recognizeAgent(argv) ?? {};
  const end = args.indexOf("--");
  const options = args.slice(0, end < 0 ? args.length : end);
  const names = options.filter((word, at) => {
    if (!/^--?[A-Za-z]/.test(word) || agent.ownOptions.test(word)) return false;
    // A short option mostly has a value: -c model=x.
    const next = word.length === 2 ? options[at + 1] ?? word : word;
    return !command.includes(word) || !command.includes(next);
  }).map((word) => word.replace(/=[^]*/, ""));
  if (names.length === 0) return;
  onNotice?.(
    `options of ${agent.name} are not carried over; session "${id}" had ${
      [...new Set(names)].join(", ")
    }: give them with --arg`,
  );
}
