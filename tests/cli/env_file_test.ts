/**
 * The files of `--env-file`.
 *
 * @module
 */
import { parseEnvFile } from "../../cli/env_file.ts";
import { ArgumentError } from "../../errors.ts";
import { assert, assertEquals, assertThrows } from "../helpers.ts";

const CASES: Readonly<Record<string, Record<string, string>>> = {
  "": {},
  "\n  \n# A=1\n  # B=2\n": {},
  "A=1": { A: "1" },
  "A=1\r\nB=2\r\n": { A: "1", B: "2" },
  "\ufeffA=1\n": { A: "1" },
  "export C=3\n  export\tD=4": { C: "3", D: "4" },
  "exported=1\nexport=2": { exported: "1", export: "2" },
  "A = x y \nB=": { A: "x y", B: "" },
  "A=\nB=2": { A: "", B: "2" },
  "A=x#y # z\nB=#fff\nC= # none\nD=a=b": {
    ...{ A: "x#y", B: "#fff", C: "", D: "a=b" },
  },
  'A="x y"\nB="" # none': { A: "x y", B: "" },
  'A="1\\n2\\t\\"\\\\n\\$\\x" \nB=2': { A: '1\n2\t"\\n$\\x', B: "2" },
  "A='x \"$HOME\" \\n # y'": { A: 'x "$HOME" \\n # y' },
  "A=\"one\ntwo\"\nB='three\n\nfour'": { A: "one\ntwo", B: "three\n\nfour" },
  "A=$HOME ${B}`c`\\n": { A: "$HOME ${B}`c`\\n" },
  "A=it's\nB=5\" wide": { A: "it's", B: '5" wide' },
  "A.B-c=1\nA=1\nA=2": { "A.B-c": "1", A: "2" },
  "A=ü €": { A: "ü €" },
};

const MALFORMED: Readonly<Record<string, string>> = {
  "A=1\n\nsecret\n": "Invalid line 3 in",
  "=secret": "use NAME=VALUE",
  "export secret": "use NAME=VALUE",
  "A B=secret": "use NAME=VALUE",
  "B=1\nA='secret\n\n": 'Invalid line 2 in "f": the quote \' has no end',
  'A="secret\\"': 'the quote " has no end',
  'A="x"secret': "only a comment may follow the closing quote",
  "A='x'#secret": "only a comment may follow the closing quote",
};

Deno.test("parseEnvFile() reads what shells and dotenv files have in common", () => {
  for (const [text, env] of Object.entries(CASES)) {
    assertEquals(parseEnvFile(text, "f"), env, JSON.stringify(text));
  }
});

Deno.test("parseEnvFile() names a malformed line and shows none of it", () => {
  for (const [text, why] of Object.entries(MALFORMED)) {
    const parse = () => parseEnvFile(text, "f");
    const error = assertThrows(parse, ArgumentError, why);
    assert(!(error as Error).message.includes("secret"), text);
  }
});
