import { byUrgency, fits, type Row, URGENCIES } from "../../views/row.ts";
import { assertEquals } from "../helpers.ts";
import { row } from "./rows.ts";

Deno.test("byUrgency() puts what needs somebody first, the failed before the others, then the latest change", () => {
  const at = (minute: number) => `2026-01-02T03:0${minute}:00.000Z`;
  const rows: Row[] = [
    row({ id: "blocked", urgency: "blocked", tone: "blocked" }),
    row({ id: "error", urgency: "error", tone: "error" }),
    row({ id: "new", since: at(9) }),
    row({ id: "old", since: at(5) }),
    row({ id: "b" }), // By its creation, then by its id.
    row({ id: "c" }),
    row({ id: "idle", urgency: "idle", tone: "quiet", since: at(9) }),
    row({ id: "lost", urgency: "ended", tone: "warning", since: at(6) }),
    row({ id: "failed", urgency: "ended", tone: "error", since: at(5) }),
    row({ id: "ended", urgency: "ended", tone: "ended", since: at(9) }),
  ];
  const ids = rows.map(({ id }) => id);
  const urgencies = rows.map(({ urgency }) => urgency);
  assertEquals([...new Set(urgencies)], [...URGENCIES]);
  for (let turn = 0; turn < rows.length; turn++) {
    rows.push(rows.shift()!);
    assertEquals([...rows].sort(byUrgency).map(({ id }) => id), ids);
  }
});

Deno.test("fits() finds all words in what a row shows, in capitals or not", () => {
  const one = row({
    id: "Brave-Otter",
    text: "blocked: approve Bash",
    title: "Über uns",
    line: "last line",
    command: "claude --model x",
    prompt: "fix the Tests",
    agent: "claude",
    labels: { team: "web", a: "b c" },
    cwd: "/home/me/project",
  });
  const found = [
    ...["", "  ", "otter", "BRAVE otter", "approve bash", "über", "last", "x"],
    ...["tests fix", "team=web", "team=", "a=b", "me/project", "exec", "run"],
  ];
  for (const words of found) assertEquals(fits(one, words), true, words);
  for (const words of ["cat", "otter cat", "web=team", "line last2", "\n"]) {
    assertEquals(fits(one, words), words === "\n", words);
  }
});
