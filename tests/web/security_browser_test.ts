/**
 * What docs/security.md promises of other pages, in a real browser.
 *
 * @module
 */
import { assertEquals, TestRoot } from "../helpers.ts";
import { folderOf } from "../../web/gate.ts";
import { CHROMIUM, openBrowser } from "./browser.ts";
import { TestServer } from "./page_server.ts";

/** Tries all that a page can; each try ends with what came of it. */
const ATTACK = `async (target) => {
  const json = { "content-type": "application/json" };
  const post = { method: "POST", body: "{}", credentials: "include" };
  const tries = {
    action: () => fetch(target + "/api/agents", { ...post, headers: json }),
    form: () => fetch(target + "/api/agents", { ...post, mode: "no-cors" }),
    page: () => fetch(target + "/", { credentials: "include" }),
    script: () => fetch(target + "/page.js", { mode: "no-cors" }),
    socket: () => new Promise((resolve, reject) => {
      const socket = new WebSocket(target.replace("http", "ws") + "/api/rows");
      socket.onopen = resolve;
      socket.onerror = () => reject(new Error("refused"));
    }),
    frame: () => new Promise((resolve, reject) => {
      const frame = document.createElement("iframe");
      frame.src = target + "/";
      // Chromium shows an error page, which isn't the page's origin either.
      frame.onload = () => reject(new Error("refused"));
      document.body.append(frame);
    }),
  };
  const done = [];
  for (const [name, run] of Object.entries(tries)) {
    await run().then(() => done.push(name), () => {});
  }
  return done;
}`;

Deno.test({
  name: `a link leads to the page, and another page to nothing else${
    CHROMIUM === undefined ? " (skipped: no Chromium)" : ""
  }`,
  ignore: CHROMIUM === undefined,
  async fn() {
    await using root = new TestRoot();
    await using web = new TestServer(root);
    const { token } = web.server;
    await using browser = await openBrowser();
    const file = `${root.dir}/page.html`;
    const url = `${web.origin}/?token=${token}`;
    const target = web.origin + folderOf(token!);
    Deno.writeTextFileSync(
      file,
      `<!DOCTYPE html><meta http-equiv="refresh" content="0; url=${url}">`,
    );
    // As --open does: the browser brings no cookie on the way from another site.
    const page = await browser.page(`file://${file}`);
    await page.waitForSelector("#list");
    assertEquals(page.url(), `${target}/`);
    assertEquals(await page.evaluate("document.referrer"), "");
    assertEquals(await page.evaluate("document.cookie"), "");
    await page.close();

    const cookies: (string | null)[] = [];
    await using evil = Deno.serve(
      { hostname: "127.0.0.1", port: 0, onListen() {} },
      ({ headers }) => {
        cookies.push(headers.get("cookie"));
        return new Response(`<a href="${target}/">x</a>`, {
          headers: { "content-type": "text/html" },
        });
      },
    );
    // Even if they know the page's folder. The second one is the same site to the browser.
    for (const host of ["localhost", "127.0.0.1"]) {
      const other = await browser.page(`http://${host}:${evil.addr.port}/`);
      const done = await other.evaluate(`(${ATTACK})("${target}")`);
      assertEquals(done, [], host);
      await other.click("a");
      await other.waitForSelector("#list");
      assertEquals(other.url(), `${target}/`);
      await other.close();
    }
    // A browser sends a cookie to all ports of its host, but not to other folders.
    assertEquals(new Set(cookies), new Set([null]));
    assertEquals(web.reports, []);
  },
});
