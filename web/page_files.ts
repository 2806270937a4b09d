/**
 * The page, packed by `deno task page` from `web/page/`. Don't edit it.
 *
 * @module
 */
import { XTERM_FILES } from "./xterm_files.ts";

/** All files of the page by the path in the URL. `gzip` is in base64. */
export const FILES: Readonly<
  Record<string, { readonly type: string; readonly gzip: string }>
> = {...XTERM_FILES, ...{
  "/": { type: "text/html; charset=utf-8", gzip: "H4sIAAAAAAAA/4yRu27DMAxF93wFy7mO0a2D5CXNmnTo0lGVGIuNLBkS80KQfy9s10WALJ34wDkceNXT23b18fm+Bi9daBZqKBBMbDVSxGYBoDwZNzQAqiMxYL3JhUTjQXbV68gAKGEJ1Njk6FwVKoVTVPW0vHOj6UjjkenUpywINkWhKBpP7MRrR0e2VI3DM3BkYROqYk0g/YKPh2wKKVfFeuro7ljg1gs4k/ezEzjuIVPQyDZFBJ9pp7EehmU5to9YkUug4onkDz4L5W5pS/kX3ZuW7uFiM/cCculJY5fcIRBCTNGSxut1s92s1rcbQsl2lr8LNqqevDGIek5CfSV3mb9hOAI7jb9PH6VhOSkTqeop3h8AAAD//wMAWGY85O8BAAA=" },
  "/icon.svg": { type: "image/svg+xml", gzip: "H4sIAAAAAAAA/4SQQW7DIBBF9z7FaLxOwCDhpPJ40X0PYQVsSChYmBofv2oru2o32Y2e/v9Pmm5ZJ9jefVgIbc7zC2OllHOR55gmJjjnbFknhNWZ8ho3Qg4cpAApsK8AumRuGYrT2RJKgWCNm2z+udNG2CKMznvCuhnFVUoE9t2bh2xBE75doOFegTopUHs2xGAQlpziwxDWrdZyuOzgtNsO4F0wt2EmTPEj6D/4Hl04+D9z04IQ9tglrI0yevzdfSpifdV9vaevPgEAAP//AwDjmMmNRwEAAA==" },
  "/page.css": { type: "text/css; charset=utf-8", gzip: "H4sIAAAAAAAA/wTB0Q2AIAwFwP9O8QaQBWAagkUagSYtfhDj7t5FU114CSja1YKXxoMjulxt4cx2JwKqzhVqHtJ3hG9fPMIjBzxPD84mNdFHPwAAAP//AwAQAWIOTAAAAA==" },
  "/page.js": { type: "text/javascript; charset=utf-8", gzip: "H4sIAAAAAAAA/xTGOwqAMBAFwN5TSKqkib3BRrCw9wJBHxIxG8muP8S7i1PN4fMzIMdAfq3xNv70QcoQt5RFK1tdghztwso4wllCG5s2kJ7SuEeQ2BnSrfjb3v2kFYM5JGJljCs+AAAA//8DAIi4l+leAAAA" },
}};
