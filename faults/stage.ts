/**
 * A running session with all its parts alive, and a client: what storms and a reboot break.
 *
 * @module
 */
import { createSession, type Kind, pathsFor, type Role } from "../mod.ts";
import { processesAt } from "../process/members.ts";
import { terminalStatusAt } from "../client/terminal_status.ts";
import { TestWindow } from "../tests/pty.ts";
import { CLI } from "../tests/helpers.ts";
import { kill, until, World } from "./world.ts";

/** The session's id. */
export const ID = "subject";

/** What a storm may hit. */
export type Part =
  | Role
  | "client";

/** The parts of a session, by its kind. */
export const PARTS: Readonly<Record<Kind, readonly Part[]>> = {
  exec: ["reaper", "agent", "child", "client"],
  repl: ["reaper", "agent", "helper", "client"],
  pty: ["reaper", "relay", "agent", "child", "client"],
};

interface Client extends AsyncDisposable {
  readonly pid: number;
}

/** The session, its world and its client; disposing of it ends them. */
export class Stage implements AsyncDisposable {
  readonly #client: Client;
  readonly #kind: Kind;

  private constructor(readonly world: World, kind: Kind, client: Client) {
    this.#kind = kind;
    this.#client = client;
  }

  /** Starts a session of a kind, and a client. */
  static async set(kind: Kind): Promise<Stage> {
    const world = await World.make();
    const { root } = world;
    const command = kind === "repl"
      ? world.echo()
      : world.agent({ pause: 0.02, lines: 20, linger: 0.3 });
    const { paths } = await createSession({ root, id: ID, kind, command });
    await until(() => world.diaries()[0]?.pid !== undefined);
    const client = kind === "pty" ? await look(root) : attach(root);
    // A Deno that is stopped while it starts may hold the lock on Deno's own cache, and then
    // every other Deno waits for it. So wait until the client has started.
    await until(() =>
      kind === "pty"
        ? terminalStatusAt(paths, true)?.clients === 1
        : hasOpen(client.pid, paths.lock)
    );
    if (kind !== "repl") {
      await until(() => processesAt(paths).some((one) => one.role === "child"));
    }
    return new Stage(world, kind, client);
  }

  /** The processes of one part. */
  pids(part: Part): number[] {
    if (part === "client") return [this.#client.pid];
    const paths = pathsFor(ID, { root: this.world.root });
    const all = processesAt(paths);
    const byRole = (role: Part) =>
      all.filter((one) => one.role === role).map(({ pid }) => pid);
    return byRole(part);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#client[Symbol.asyncDispose]();
    await this.world[Symbol.asyncDispose]();
  }
}

/** Attaches a client to a session without a terminal. */
function attach(root: string): Client {
  const [program, ...args] = CLI;
  const child = new Deno.Command(program!, {
    args: [...args, "attach", ID],
    env: { CODEX_SESSION_HOME: root, NO_COLOR: "1" },
    stdin: "null",
    stdout: "null",
    stderr: "null",
  }).spawn();
  return {
    pid: child.pid,
    async [Symbol.asyncDispose]() {
      kill(child.pid, "SIGKILL");
      await child.status;
    },
  };
}

/** Attaches a client to a terminal session, in a window of its own. */
async function look(root: string): Promise<Client> {
  return await TestWindow.open([...CLI, "attach", ID], {
    env: { CODEX_SESSION_HOME: root, NO_COLOR: "1" },
  });
}

/** Tells whether a process has a file open. */
function hasOpen(pid: number, path: string): boolean {
  try {
    return [...Deno.readDirSync(`/proc/${pid}/fd`)].some(({ name }) => {
      return Deno.readLinkSync(`/proc/${pid}/fd/${name}`) === path;
    });
  } catch {
    return false; // It has ended, or has just closed a descriptor.
  }
}
