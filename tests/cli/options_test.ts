import { type Option, parseOptions } from "../../cli/options.ts";
import { assertEquals, assertThrows } from "../helpers.ts";

const OPTIONS: readonly Option[] = [
  { name: "env", short: "e", value: "KEY=VALUE", repeat: true, help: "" },
  { name: "id", value: "NAME", help: "" },
  { name: "attach", short: "a", help: "" },
  { name: "interactive", short: "i", help: "" },
];

function parse(line: string[], verbatim = false) {
  const { flags, values, operands } = parseOptions(line, OPTIONS, { verbatim });
  return { flags: [...flags], values: Object.fromEntries(values), operands };
}

Deno.test("parseOptions() reads every way to write an option", () => {
  const values = { env: ["A=1", "B=2", "C=--x", "D=", "-E=5"], id: [""] };
  assertEquals(
    parse([
      "-eA=1",
      "-e",
      "B=2",
      "--env=C=--x",
      "--env",
      "D=",
      "-ai",
      "--id=",
      "--env",
      "-E=5",
      "x",
      "-",
    ]),
    { flags: ["attach", "interactive"], values, operands: ["x", "-"] },
  );
});

Deno.test("parseOptions() keeps what follows the first operand verbatim when told to", () => {
  const line = ["-a", "exec", "--id", "--", "-x", "--", "é\n$(x)"];
  assertEquals(parse(line, true).operands, line.slice(1));
  assertEquals(parse(["--", "--", "-a"], true).operands, ["--", "-a"]);
  assertEquals(parse(["x", "-a", "--", "-i"]), {
    flags: ["attach"],
    values: {},
    operands: ["x", "-i"],
  });
});

Deno.test("parseOptions() refuses what it does not know, with a hint", () => {
  const cases: [string[], string][] = [
    [["--attac"], "did you mean --attach?"],
    [["--interactvie"], "did you mean --interactive?"],
    [["-x"], "Unknown option -x"],
    [["-ax"], "Unknown option -x"],
    [["--id"], "needs a value"],
    [["-e"], "needs a value"],
    [["--attach=yes"], "takes no value"],
    [["--id", "a", "--id=b"], "given twice"],
  ];
  for (const [line, words] of cases) {
    assertThrows(() => parse(line), TypeError, words);
  }
  for (const text of ["-5", "-x", "- it's"]) {
    assertThrows(
      () =>
        parseOptions(["r", text], OPTIONS, { name: "send", takesText: true }),
      TypeError,
      'Text starting with "-" must follow --: send r -- ',
    );
  }
});
