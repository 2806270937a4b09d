import { join } from "../../std.ts";
import { FILES } from "../../web/page_files.ts";
import { assert, assertEquals, PROJECT } from "../helpers.ts";

type Files = typeof FILES;

/** The newest Deno decides: another one may bundle differently. */
const newest = /^NEWEST=(.+)$/m.exec(read(".ci/run"))![1]!;
const isNewest = Deno.version.deno === newest;

Deno.test({
  name: `FILES holds web/page/ as it is now${
    isNewest ? "" : ` (skipped: not Deno ${newest})`
  }`,
  ignore: !isNewest,
  async fn() {
    const dir = Deno.makeTempDirSync();
    try {
      const { success } = await new Deno.Command(Deno.execPath(), {
        args: ["run", "-A", "build/page.ts", dir],
        cwd: PROJECT,
      }).spawn().status;
      assert(success);
      const fresh: { FILES: Files } = await import(`${dir}/page_files.ts`);
      assertEquals(
        await unpackAll(FILES),
        await unpackAll(fresh.FILES),
        "Run: deno task page",
      );
    } finally {
      Deno.removeSync(dir, { recursive: true });
    }
  },
});

Deno.test("FILES loads nothing from elsewhere, and has a place for the nonce", async () => {
  const { "/": page, "/page.css": styles, "/xterm.css": more } =
    await unpackAll(FILES);
  assert(page!.includes('nonce="{{NONCE}}"'));
  const addresses = [...page!.matchAll(/\b(?:href|src)="([^"#]+)"/g)]
    .map(([, address]) => `/${address}`);
  assertEquals(addresses.filter((address) => !(address in FILES)), []);
  assert(!/url\(|@import/.test(styles! + more!));
});

Deno.test("the page's terminal has the version of the relay's emulator", () => {
  const emulator = read("screen/emulator.ts");
  const page = read("web/page/xterm.ts");
  const versionIn = (text: string, name: string) =>
    new RegExp(`npm:${name}@([\\d.]+)`).exec(text)?.[1] ?? `no ${name}`;
  assertEquals(
    versionIn(page, "@xterm/xterm"),
    versionIn(emulator, "@xterm/headless"),
  );
  const widths = "@xterm/addon-unicode11";
  assertEquals(versionIn(page, widths), versionIn(emulator, widths));
});

function read(name: string): string {
  return Deno.readTextFileSync(join(PROJECT, name));
}

async function unpackAll(files: Files): Promise<Record<string, string>> {
  const unpacked: Record<string, string> = {};
  for (const [path, { gzip }] of Object.entries(files)) {
    const stream = new Blob([Uint8Array.fromBase64(gzip)]).stream()
      .pipeThrough(new DecompressionStream("gzip"));
    unpacked[path] = await new Response(stream).text();
  }
  return unpacked;
}
