/**
 * The command `top`: the dashboard.
 *
 * @module
 */
import { App } from "./app.ts";
import { configured } from "../cli/config.ts";
import { harmless } from "../cli/format.ts";
import { type Handler, noOperands, OK } from "../cli/io.ts";
import { hasLabelsOf } from "../cli/selection.ts";
import { consoleSize } from "../client/own_terminal.ts";
import { runDashboard } from "./dashboard.ts";
import { openRoot } from "../store.ts";

/** `top`: shows sessions, the most urgent first, until the user leaves. */
export const top: Handler = async (call, io) => {
  noOperands(call);
  const isTerminal = io.stdinIsTerminal && io.columns !== undefined;
  if (!isTerminal || Deno.env.get("TERM") === "dumb") {
    return await (await import("../cli/list.ts")).list(call, io);
  }
  const detachKeys = configured("detachKeys");
  const app = new App({
    size: consoleSize(),
    cwd: Deno.cwd(),
    home: Deno.env.get("HOME"),
    detachKeys: detachKeys === undefined ? undefined : harmless(detachKeys),
    color: io.color,
    only: hasLabelsOf(call),
    onlyLabels: call.values.get("label") ?? [],
  });
  await runDashboard(app, { root: openRoot(), detachKeys });
  return OK;
};
