/**
 * The shape of an entry in `agents.ts`. It holds only what the project uses; other facts about
 * an agent are comments in its file.
 *
 * @module
 */

/** A background server of an agent: a session that is its client leaves the work to it. */
export interface AgentServer {
  /** Tells whether this is the command line of such a server. */
  readonly isServer: (argv: readonly string[]) => boolean;
  /** Tells whether this is the command line of what is its client while there is one. */
  readonly isClient: (argv: readonly string[]) => boolean;
  /** What to say when a client has been stopped, and the server goes on. */
  readonly notice: (serverPid: number) => string;
}

/** An agent program, as this project knows it. */
export interface Agent {
  /** Its programs, as they are found on PATH. */
  readonly programs: readonly string[];
  /** Fits the names of its npm packages. */
  readonly packages: RegExp;
  /**
   * Variables by which its tool calls know their agent, and by which a nested agent would take
   * itself for a part of it. Sessions don't inherit them. Not the user's settings. `NAME_*` means
   * all that begin so.
   */
  readonly markers: readonly string[];
  /**
   * How long to wait between typed text and Enter, in milliseconds: an agent that takes fast
   * typing for a paste would paste a faster Enter, too.
   *
   * @default {0}
   */
  readonly enterAfterMs?: number;
  /**
   * Its background server.
   *
   * @default {undefined}
   */
  readonly server?: AgentServer;
}
