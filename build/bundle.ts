#!/usr/bin/env -S deno run -A
/*!
 * codex-session: the command line when it is run, the library when it is imported.
 * License: Apache-2.0. Contains parts of deno-std (the Deno authors), @xterm/headless and
 * @xterm/addon-unicode11 (the xterm.js authors), all under the MIT license.
 */
/**
 * What `deno task bundle` makes one file of. Not `cli.ts`: if that exported the library, each
 * command would start 13 ms later from sources. In one file it costs nothing to speak of.
 *
 * @module
 */
import { run } from "../cli.ts";
import { setRelayProgram } from "../relay/command.ts";

export * from "../mod.ts";

if (import.meta.main) await run();
// As a part of another program's bundle this file is the main module, but does not handle `__relay`.
else if (import.meta.url !== Deno.mainModule) setRelayProgram(import.meta.url);
