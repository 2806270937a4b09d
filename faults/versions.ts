/**
 * A relay and a client of different versions. One of them is a copy of this program that
 * speaks another version of the attach protocol.
 *
 * @module
 */
import { createSession } from "../mod.ts";
import { PROTOCOL } from "../relay/protocol.ts";
import { relayCommand } from "../relay/command.ts";
import { dirname } from "../std.ts";
import { CLI, MODULES, PROJECT } from "../tests/helpers.ts";
import type { Case, Fault } from "./fault.ts";
import { judge } from "./judgement.ts";
import { cli, complainOf, until, World } from "./world.ts";

const ID = "subject";

/** Commands that talk to the relay: they must report the other version. */
const ASKING: readonly (readonly string[])[] = [
  ["screen", ID],
  ["screen", "--json", ID],
  ["send", ID, "from another version"],
  ["send", ID, "--key", "enter"],
  ["wait", "--for", "screen=never", "--timeout", "5", ID],
];

/** Commands that don't: they must work. */
const OTHERS: readonly (readonly string[])[] = [
  ["list"],
  ["show", ID],
  ["logs", ID],
  ["logs", "--plain", ID],
];

/** Makes a copy of the program that speaks another version. */
function copy(to: string, version: number): void {
  for (const name of MODULES) {
    const text = Deno.readTextFileSync(`${PROJECT}${name}`);
    const changed = text.replace(
      `export const PROTOCOL = ${PROTOCOL};`,
      `export const PROTOCOL = ${version};`,
    );
    if (name === "relay/protocol.ts" && changed === text) {
      throw new Error("protocol.ts names no version");
    }
    Deno.mkdirSync(dirname(`${to}/${name}`), { recursive: true });
    Deno.writeTextFileSync(`${to}/${name}`, changed);
  }
}

function meeting(who: "relay" | "client", version: number): Case {
  return async () => {
    await using world = await World.make();
    const { root } = world;
    const other = `${world.dir}/mine/other`;
    copy(other, version);
    const otherCli = [...CLI.slice(0, -1), `${other}/cli.ts`];
    const relay = relayCommand({ dir: root, argv: ["-"] })
      .map((word) =>
        word.endsWith("/relay.ts") ? `${other}/relay/relay.ts` : word
      );
    await createSession({
      root,
      id: ID,
      kind: "pty",
      command: world.echo(),
      relayCommand: who === "relay"
        ? relay.slice(0, relay.indexOf(root))
        : undefined,
    });
    await until(() => world.diaries()[0]?.pid !== undefined);
    const complaints: string[] = [];
    const wrong = who === "relay" ? CLI : otherCli;
    for (const args of ASKING) {
      const ended = await cli(root, args, { program: wrong });
      const found = complainOf(ended, [4]); // Not possible with this session.
      if (!/version \d+ of the attach protocol/.test(ended.stderr)) {
        found.push(`it says ${JSON.stringify(ended)}`);
      }
      complaints.push(...found.map((text) => `${args.join(" ")}: ${text}`));
    }
    for (const args of OTHERS) {
      const found = complainOf(await cli(root, args, { program: wrong }), [0]);
      complaints.push(...found.map((text) => `${args.join(" ")}: ${text}`));
    }
    const right = { program: who === "relay" ? otherCli : CLI };
    const said = await cli(root, ["send", ID, "hello there"], right);
    complaints.push(...complainOf(said, [0]));
    const hears = () => world.diaries()[0]!.lines.join() === "hello there";
    if (!await until(hears)) {
      complaints.push(`the agent got ${world.diaries()[0]!.lines}`);
    }
    const screen = await cli(root, ["screen", ID], right);
    if (!screen.stdout.includes("hello there")) {
      complaints.push(`the screen is ${JSON.stringify(screen)}`);
    }
    const stop = ["stop", "-t", "1", ID];
    complaints.push(
      ...complainOf(await cli(root, stop, { program: wrong }), [0]),
    );
    return [...complaints, ...await judge(world)];
  };
}

/** All faults of this file. */
export const VERSION_FAULTS: readonly Fault[] = [{
  name: "versions",
  about: "a relay and a client that speak different versions of the protocol",
  run: async ({ injectAll }) => {
    await injectAll(
      (["relay", "client"] as const).flatMap((who) =>
        [PROTOCOL - 1, PROTOCOL + 1].map((version) =>
          [`${who} of version ${version}`, meeting(who, version)] as const
        )
      ),
    );
  },
}];
