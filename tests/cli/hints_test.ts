import {
  editDistance,
  nearestCommand,
  nearestOption,
} from "../../cli/hints.ts";
import { COMMANDS } from "../../cli/usage.ts";
import { assertEquals } from "../helpers.ts";

Deno.test("nearestCommand() knows typos and other programs' words, and suggests what destroys for no typo", () => {
  const names = COMMANDS.flatMap(({ name, aliases = [] }) => [
    name,
    ...aliases,
  ]);
  const cases = {
    lst: "list",
    ru: "run",
    rum: "run",
    comp: "completions",
    start: "run",
    status: "list",
    codex: "create",
    top: "list",
    log: "logs",
    "send-keys": "send",
    // What destroys: for a word that means the same, not for a similar one.
    kill: "stop",
    remove: "delete",
    stpo: undefined,
    sto: undefined,
    stopp: undefined,
    delet: undefined,
    purne: undefined,
    rmi: undefined,
    // Near, but not near enough.
    st: undefined,
    store: undefined,
    d: undefined,
    pru: undefined,
    frobnicate: undefined,
    "a(b": undefined,
  };
  for (const [word, wanted] of Object.entries(cases)) {
    assertEquals([word, nearestCommand(word, names)], [word, wanted]);
  }
});

Deno.test("nearestOption() and editDistance() count swapped neighbours as one edit", () => {
  assertEquals(editDistance("tiemout", "timeout"), 1);
  assertEquals(editDistance("", "abc"), 3);
  const options = ["timeout", "force"];
  assertEquals(nearestOption("--tiemout", options), "--timeout");
  assertEquals(nearestOption("--time", options), "--timeout");
  assertEquals(nearestOption("--forse", options), undefined);
  assertEquals(nearestOption("--for", options), undefined);
  assertEquals(nearestOption("-t", options), undefined);
  assertEquals(nearestOption("--al", ["all"]), undefined);
  assertEquals(nearestOption("--labels", ["label", "all"]), "--label");
});
