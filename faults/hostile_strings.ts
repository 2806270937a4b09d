/**
 * Hostile strings: ids that look like options and paths, escape sequences in every string
 * that is printed.
 *
 * @module
 */
import { createSession } from "../mod.ts";
import type { Case, Fault } from "./fault.ts";
import { judge } from "./judgement.ts";
import { cli, complainOf, steering, World } from "./world.ts";

const ID = "subject";

const EVIL = "\x1b]0;owned\x07\x1b[2J\x9b31m\u202egnp\u2028\x7f\r\n\t\0"
  .replace("\0", "");

const IDS = [
  "-rf",
  "--help",
  "-",
  "--",
  "..",
  ".",
  "../subject",
  "a/b",
  "/etc",
  "x".repeat(64),
  "x".repeat(65),
  "x".repeat(255),
  "x".repeat(5000),
  "äöü",
  "会议",
  "сессия",
  "a b",
  " ",
  "",
  "a\nb",
  "a\u202eb",
  "\x1b[31mred",
  "0",
  "99",
  "con",
  "*",
  "$(touch /tmp/owned)",
  "~",
  ".new-1-x",
  ".old-x",
];

const ids: Fault = {
  name: "hostile-ids",
  about: "ids that look like options or paths, are too long or not ASCII",
  run: async ({ short, random, injectAll }) => {
    const cases: [string, Case][] = [];
    for (const id of IDS) {
      const shown = JSON.stringify(id).slice(0, 40);
      for (
        const command of [
          "run",
          "show",
          "delete",
          "stop",
          "logs",
          "send",
          "wait",
        ]
      ) {
        cases.push([`${command} ${shown}`, async () => {
          await using world = await World.make();
          const { root } = world;
          const args = command === "run"
            ? ["run", `--id=${id}`, "--", ...world.agent()]
            : command === "send"
            ? ["send", "--timeout", "1", "--", id, "x"]
            : command === "wait"
            ? ["wait", "--timeout", "1", "--", id]
            : [command, "--", id];
          const ended = await cli(root, args, { timeoutMs: 30_000 });
          const complaints = complainOf(ended);
          const made = [...Deno.readDirSync(root)].map(({ name }) => name);
          if (ended.code === 0 && (command !== "run" || made.join() !== id)) {
            complaints.push(`it succeeded and made ${made}`);
          }
          if (ended.code !== 0 && made.length > 0) {
            complaints.push(`it failed but left ${made}`);
          }
          return [...complaints, ...await judge(world)];
        }]);
      }
    }
    await injectAll(short ? random.sample(cases, 12) : cases);
  },
};

const strings: Fault = {
  name: "hostile-strings",
  about:
    "escape sequences in every string that list, show, wait and errors print",
  run: async ({ short, random, injectAll }) => {
    const cases: [string, Case][] = [];
    const places = [
      "argv",
      "prompt",
      "cwd",
      "label key",
      "label value",
      "env",
      "program",
      "stop.json",
      "selector",
      "option",
      "comm",
      "env-file",
      "root",
    ];
    for (const place of places) {
      cases.push([place, async () => {
        await using world = await World.make();
        Deno.mkdirSync(`${world.dir}/mine`);
        let { root } = world;
        const complaints: string[] = [];
        const evil = place === "argv" || place === "comm"
          ? EVIL.replace("\n", "")
          : EVIL;
        const name = evil.replaceAll("/", "");
        const command = world.agent({ linger: 600 });
        const folder = `${world.dir}/mine/${name}`;
        if (place === "cwd" || place === "root") {
          Deno.mkdirSync(folder, { mode: 0o700 });
        }
        if (place === "root") root = folder;
        if (place === "comm") {
          Deno.copyFileSync(
            "/bin/sleep",
            `${world.dir}/mine/${name.slice(0, 12)}`,
          );
          command.splice(
            0,
            command.length,
            `${world.dir}/mine/${name.slice(0, 12)}`,
            "600",
          );
        }
        if (place === "argv") command.push(evil);
        // deno-lint-ignore no-control-regex
        const key = evil.replace(/[\s=\x00-\x20\u2028]/g, "");
        await createSession({
          root,
          id: ID,
          command,
          prompt: place === "prompt" ? evil : undefined,
          cwd: place === "cwd" ? folder : undefined,
          env: place === "env" ? { [evil]: "x" } : undefined,
        });
        if (place.startsWith("label")) {
          // Creating it with such a label is refused, but the agent can write one.
          const path = `${root}/${ID}/meta.json`;
          const labels = place === "label key" ? { [key]: "x" } : { x: evil };
          const meta = JSON.parse(Deno.readTextFileSync(path));
          Deno.writeTextFileSync(path, JSON.stringify({ ...meta, labels }));
        }
        if (place === "stop.json") {
          Deno.writeTextFileSync(
            `${root}/${ID}/stop.json`,
            JSON.stringify({ by: evil, at: evil, signal: evil, more: evil }),
          );
        }
        const calls: string[][] = [["list"], ["list", "--json"], ["show", ID], [
          "wait",
          "--timeout",
          "0",
          ID,
        ], ["delete", ID]];
        if (place === "program") {
          calls.push(["run", "--", name], [
            "run",
            "--cwd",
            `/tmp/${name}`,
            "true",
          ]);
        }
        if (place === "selector") {
          calls.push(["show", evil], ["logs", evil], ["delete", evil], [
            "show",
            "--json",
            evil,
          ]);
          calls.push([evil], ["help", evil], ["list", evil], [
            "completions",
            evil,
          ]);
        }
        if (place === "option") {
          calls.push(["list", `--${evil}`], ["list", "--state", evil], [
            "stop",
            "-s",
            evil,
            ID,
          ]);
          calls.push(["wait", "--timeout", evil, ID], [
            "run",
            "-e",
            evil,
            "true",
          ], ["run", "-l", evil, "true"]);
          calls.push(["run", "--id", evil, "true"], ["logs", "-n", evil, ID], [
            "run",
            "--cwd",
            evil,
            "true",
          ], ["create", evil]);
        }
        if (place === "env-file") {
          Deno.writeTextFileSync(`${world.dir}/mine/env`, evil);
          calls.push(["run", "--env-file", `${world.dir}/mine/env`, "true"], [
            "run",
            "--env-file",
            folder,
            "true",
          ]);
        }
        if (place === "root") {
          Deno.mkdirSync(`${folder}/x`, { mode: 0o777 });
          Deno.chmodSync(`${folder}/x`, 0o777);
        }
        for (const args of calls) {
          const ended = await cli(root, args, { timeoutMs: 30_000 });
          for (
            const text of [
              ...complainOf(ended),
              ...steering(ended.stdout, args),
            ]
          ) {
            complaints.push(`${JSON.stringify(args)}: ${text}`);
          }
          if (place === "root") {
            const bad = await cli(`${folder}/x`, ["run", "true"]);
            complaints.push(...complainOf(bad).map((text) => `root: ${text}`));
          }
        }
        if (place === "root") {
          await cli(root, ["delete", "-f", ID]);
          complaints.push(...world.harm());
        } else {
          complaints.push(...await judge(world));
        }
        return [...new Set(complaints)];
      }]);
    }
    await injectAll(short ? random.sample(cases, 5) : cases);
  },
};

/** All faults of this file. */
export const HOSTILE_STRING_FAULTS: readonly Fault[] = [ids, strings];
