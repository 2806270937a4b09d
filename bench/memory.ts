/**
 * The memory of an idle session: the proportional set size of all its processes except the agent.
 *
 * @module
 */
import { createSession } from "../session/create.ts";
import {
  atMost,
  Bench,
  type Effort,
  pssOf,
  type Table,
  timeCall,
  until,
} from "./measure.ts";
import { findPeers, type Peer } from "./peers.ts";

const AGENTS = { exec: ["sleep", "600"], repl: ["cat"] } as const;

function nameOf(pid: number): string {
  try {
    return Deno.readTextFileSync(`/proc/${pid}/comm`).trim();
  } catch {
    return "";
  }
}

/** The memory of all processes in KiB, of agents and of supervisors. */
function weigh(bench: Bench, agent: string) {
  const pids = bench.processes();
  const agents = pids.filter((pid) => nameOf(pid) === agent);
  const others = pids.filter((pid) => !agents.includes(pid));
  const sum = (some: number[]) =>
    some.reduce((total, pid) => total + pssOf(pid), 0);
  return {
    agents: agents.length,
    agentKib: sum(agents) / agents.length,
    supervisorsKib: sum(others),
    supervisors: others.length,
  };
}

type Weight = ReturnType<typeof weigh>;

const mb = (kib: number) => (kib / 1024).toFixed(3);

async function weighSessions(
  kind: "exec" | "repl",
  count: number,
): Promise<Weight> {
  await using bench = new Bench();
  const command = AGENTS[kind];
  for (let i = 0; i < count; i++) {
    await createSession({ root: bench.root, kind, command });
  }
  return weigh(bench, command[0]);
}

/** The memory of a peer with one session and with `count` more. */
async function weighPeer(
  peer: Peer,
  count: number,
): Promise<{ first: Weight; all: Weight }> {
  await using bench = new Bench();
  const command = AGENTS.exec;
  const running = async (wanted: number) =>
    await until(() => {
      const weight = weigh(bench, command[0]);
      return weight.agents === wanted ? weight : undefined;
    }, `${wanted} of ${peer.title}`);
  timeCall((peer.server ?? ((bench) => peer.start(bench, 0, command)))(bench));
  const first = await running(1);
  for (let turn = 1; turn <= count; turn++) {
    timeCall(peer.start(bench, turn, command));
  }
  return { first, all: await running(count + 1) };
}

/** Memory per idle session. */
export async function memory(effort: Effort): Promise<Table[]> {
  const count = effort.pick(100, 50);
  const rows: string[][] = [];
  for (const [kind, target] of [["exec", 0.3], ["repl", 0.5]] as const) {
    const weight = await weighSessions(kind, count);
    const each = weight.supervisorsKib / weight.agents;
    rows.push([
      `${kind} session`,
      mb(each),
      (weight.supervisors / weight.agents).toFixed(1),
      mb(weight.agentKib),
      "",
      atMost(each / 1024, target, " MB"),
    ]);
  }
  const { peers, notes } = findPeers();
  for (const peer of peers) {
    const { first, all } = await weighPeer(peer, count);
    // A server is there once: a session costs what the server grows by.
    const grows = all.supervisors === first.supervisors;
    const each = grows
      ? (all.supervisorsKib - first.supervisorsKib) / count
      : all.supervisorsKib / all.agents;
    rows.push([
      peer.title,
      mb(each),
      grows ? "0.0" : (all.supervisors / all.agents).toFixed(1),
      mb(all.agentKib),
      grows && first.supervisors > 0 ? mb(first.supervisorsKib) : "",
      "",
    ]);
  }
  return [{
    title: `memory: MB (PSS) per idle session, ${count} at once`,
    columns: [
      ...["", "supervisors", "processes", "agent, not counted"],
      ...["server, once", "target"],
    ],
    rows,
    notes,
  }];
}
