/**
 * A program that goes on after detaching: ROOT ID... It attaches to one session after the other. In between it
 * names each key that it gets, until that is q.
 *
 * @module
 */
import { attachConsole } from "../../client/attach_console.ts";
import { openKeyboard, takeTerminal } from "../../client/own_terminal.ts";

const [root, ...ids] = Deno.args;
const buffer = new Uint8Array(1);
for (const id of ids) {
  const result = await attachConsole(id, { root });
  using _terminal = takeTerminal({
    onLeave: () => Deno.exit(9),
    giveBack: () => "",
    onContinue() {},
  });
  using keyboard = openKeyboard();
  const how = "detached" in result ? "detached" : result.state.state;
  console.log(`${id} ${how}\r`);
  for (let key = ""; key !== "q";) {
    if (await keyboard.read(buffer) === null) Deno.exit(8);
    key = String.fromCharCode(buffer[0]!);
    console.log(`key ${JSON.stringify(key)}\r`);
  }
}
console.log("over\r");
Deno.exit();
