import { givePage } from "../../web/responses.ts";
import { assert, assertEquals } from "../helpers.ts";

Deno.test("givePage() fills in the server's proof, and a new nonce that its policy allows", async () => {
  const html = '<meta content="{{PROOF}}"><script nonce="{{NONCE}}">{{NONCE}}';
  const response = givePage(html, "the-proof");
  const [, proof, nonce, again] =
    /^<meta content="(.+)"><script nonce="(.+)">(.+)$/
      .exec(await response.text())!;
  assertEquals([proof, again], ["the-proof", nonce]);
  const policy = response.headers.get("content-security-policy")!;
  assert(policy.includes(`'nonce-${nonce}'`), policy);
  assert(!(await givePage(html, "").text()).includes(nonce!));
});
