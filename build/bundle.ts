#!/usr/bin/env -S deno run -A
/*!
 * codex-session: the command line when it is run, the library when it is imported.
 * License: Apache-2.0.
 *
 * Contains parts of the Deno standard library (Copyright 2018-2025 the Deno authors),
 * @xterm/headless and @xterm/addon-unicode11 (Copyright (c) 2012-2024 Christopher Jeffrey,
 * SourceLair Private Company, the xterm.js authors), under the MIT license:
 *
 * Permission is hereby granted, free of charge, to any person obtaining a copy of this software
 * and associated documentation files (the "Software"), to deal in the Software without
 * restriction, including without limitation the rights to use, copy, modify, merge, publish,
 * distribute, sublicense, and/or sell copies of the Software, and to permit persons to whom the
 * Software is furnished to do so, subject to the following conditions:
 *
 * The above copyright notice and this permission notice shall be included in all copies or
 * substantial portions of the Software.
 *
 * THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED, INCLUDING
 * BUT NOT LIMITED TO THE WARRANTIES OF MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE AND
 * NONINFRINGEMENT. IN NO EVENT SHALL THE AUTHORS OR COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM,
 * DAMAGES OR OTHER LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE, ARISING FROM,
 * OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE SOFTWARE.
 */
/**
 * The source of the bundle. A file of its own: if `cli.ts` exported the library, each command
 * would start 13 ms later from sources; in the bundle it costs 2 ms. The bundler keeps the comment
 * above, as the license asks.
 *
 * @module
 */
import { run } from "../cli.ts";
import { setRelayProgram } from "../relay/command.ts";

export * from "../mod.ts";

if (import.meta.main) await run();
// In the bundle of another program this file is a part of the main module, which has no `__relay`.
else if (import.meta.url !== Deno.mainModule) setRelayProgram(import.meta.url);
