/**
 * The dialog that starts a session.
 *
 * @module
 */

import type { Row } from "../../views/row.ts";
import { splitCommand } from "../../views/split_command.ts";
import { messageOf } from "./api.ts";
import {
  type DialogContext,
  drafts,
  fieldOf,
  keepDraft,
  openDialog,
  submitByKey,
} from "./dialog.ts";
import { byId, make } from "./dom.ts";

/** An agent that is installed. */
interface Agent {
  readonly name: string;
  readonly kinds: readonly string[];
}

/** What the kinds of sessions mean, the most useful here first. */
const KINDS: readonly (readonly [kind: string, text: string])[] = [
  ["pty", "in a terminal"],
  ["exec", "to its end, without input"],
  ["repl", "with lines as input"],
];

/** The fields of what is to be started. */
const STARTED_BY = ["prompt", "command"] as const;

/** Asks what to start, and starts it. */
export async function openStart(
  { api, onDone, onOpen, home, rows }: DialogContext & {
    readonly home: string;
    readonly rows: readonly Row[];
  },
): Promise<void> {
  const { form, show, close, isHere, problem } = openDialog(
    "start-dialog",
    async () => {
      const { id } = await api.call("start", argumentsOf(form));
      for (const name of STARTED_BY) drafts.delete(name);
      close();
      onDone(`Started ${id}.`);
      onOpen(String(id));
    },
    onDone,
  );
  const agent = fieldOf<HTMLSelectElement>(form, "agent");
  const cwd = fieldOf(form, "cwd");
  let agents: readonly Agent[] = [];
  cwd.value = home;
  for (const name of STARTED_BY) keepDraft(fieldOf(form, name), name);
  const known = new Set([home, ...rows.flatMap(({ cwd }) => cwd ?? [])]
    .filter((path) => path !== "" && !path.endsWith("…")));
  byId("directories").replaceChildren(
    ...[...known].sort().map((value) => make("option", { value })),
  );
  submitByKey(form);
  agent.onchange = choose;
  offer("");
  try {
    const answer = await api.call("agents", {});
    if (!isHere()) return;
    agents = answer.agents as readonly Agent[];
    const hasBegun = fieldOf(form, "command").value !== "";
    const first = agents.find(({ name }) => name === answer.usual) ?? agents[0];
    offer(hasBegun ? "" : first?.name ?? "");
  } catch (error) {
    if (!isHere()) return;
    problem.textContent = messageOf(error);
  }
  fieldOf(form, agent.value === "" ? "command" : "prompt").focus();

  function offer(chosen: string): void {
    agent.replaceChildren(
      ...agents.map(({ name }) => make("option", { value: name, text: name })),
      make("option", { value: "", text: "none: a command" }),
    );
    agent.value = chosen;
    choose();
  }

  function choose(): void {
    const chosen = agents.find(({ name }) => name === agent.value);
    show("prompt", chosen !== undefined);
    show("command", chosen === undefined);
    fieldOf(form, "command").required = chosen === undefined;
    fieldOf(form, "kind").replaceChildren(
      ...KINDS.filter(([kind]) => chosen?.kinds.includes(kind) ?? true)
        .map(([value, text]) => make("option", { value, text })),
    );
  }
}

/** What the form says, as the action `start` takes it. */
function argumentsOf(form: HTMLFormElement): Record<string, unknown> {
  const text = (name: string) => fieldOf(form, name).value.trim();
  const given = (name: string) => text(name) && { [name]: text(name) };
  const labels = splitCommand(text("labels")).map((pair) => {
    const at = pair.indexOf("=");
    return at < 0 ? [pair, ""] : [pair.slice(0, at), pair.slice(at + 1)];
  });
  return {
    ...text("agent") === ""
      ? { command: splitCommand(text("command")) }
      : { ...given("agent"), ...given("prompt") },
    ...{ ...given("kind"), ...given("cwd"), ...given("id") },
    ...labels.length > 0 && { labels: Object.fromEntries(labels) },
  };
}
