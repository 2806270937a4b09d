/**
 * The command that tells what happens: `events`.
 *
 * @module
 */
import { followEvents, readEvents } from "../client/events.ts";
import { ArgumentError } from "../errors.ts";
import type { SessionEvent } from "../events/event.ts";
import { harmlessJson, parseDuration } from "./format.ts";
import { combine, type Handler, OK, parsedValueOf } from "./io.ts";
import type { Parsed } from "./options.ts";
import { choose, filteredSessions, hasLabelsOf } from "./selection.ts";

/** `events`: a JSON object a line. */
export const events: Handler = async (call, io) => {
  const follows = call.flags.has("follow");
  const options = {
    types: typesOf(call),
    since: parsedValueOf(call, "since", timeBefore),
  };
  const print = (event: SessionEvent) => io.out(harmlessJson(event) + "\n");
  if (follows && call.values.has("state")) {
    throw new ArgumentError(
      "Cannot use --state with --follow: the state of a session changes",
    );
  }
  if (call.operands.length === 0) {
    const fits = hasLabelsOf(call);
    if (follows) {
      const signal = io.outputClosed();
      const all = followEvents({ ...options, fits, signal });
      for await (const event of all) print(event);
      return OK;
    }
    const ids = new Set((await filteredSessions(call)).map(({ id }) => id));
    // Not by id: that one is deleted meanwhile is no error.
    const isChosen = ({ id }: { readonly id: string }) => ids.has(id);
    const found = await readEvents({ ...options, fits: isChosen });
    for (const event of found) print(event);
    return OK;
  }
  const chosen = await choose(call, io, () => true);
  const status = combine(chosen.map((one) => one.session ? OK : one.status));
  const ids = chosen.flatMap(({ session }) => session ? [session.id] : []);
  if (ids.length === 0) return status;
  if (follows) {
    const signal = io.outputClosed();
    const those = followEvents({ ...options, ids, signal });
    for await (const event of those) print(event);
  } else {
    for (const event of await readEvents({ ...options, ids })) print(event);
  }
  return status;
};

/** `--since`: the time so long ago. */
function timeBefore(text: string): Date {
  return new Date(Math.max(0, Date.now() - parseDuration(text)));
}

/** `--type`; the library checks the words. */
function typesOf(call: Parsed): SessionEvent["type"][] | undefined {
  const texts = call.values.get("type");
  return texts?.flatMap((text) => text.split(",")) as
    | SessionEvent["type"][]
    | undefined;
}
