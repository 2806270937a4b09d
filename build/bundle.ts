#!/usr/bin/env -S deno run -A
/*!
 * codex-session: the command line when it is run, the library when it is imported.
 * License: Apache-2.0.
 *
 * Contains parts of the Deno standard library (Copyright 2018-2025 the Deno authors),
 * @xterm/headless and @xterm/addon-unicode11 (Copyright (c) 2012-2024 Christopher Jeffrey,
 * SourceLair Private Company, the xterm.js authors), under the MIT license; packed, for the command
 * `web`, @xterm/xterm and @xterm/addon-fit by the same, under the same; and, packed, for the
 * command `mcp`: @modelcontextprotocol/server and @modelcontextprotocol/core (Copyright (c)
 * 2024-2025 Model Context Protocol a Series of LF Projects, LLC.), under Apache-2.0 and in parts
 * the MIT license; zod (Copyright (c) 2025 Colin McDonnell), ajv, ajv-formats, fast-deep-equal and
 * json-schema-traverse (Copyright (c) 2015-2021 Evgeny Poberezkin), content-type (Copyright (c)
 * 2015 Douglas Christopher Wilson), under the MIT license; fast-uri, under the BSD license below.
 *
 * The MIT license:
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
 *
 * The license of fast-uri:
 *
 * Copyright (c) 2011-2021, Gary Court until
 * https://github.com/garycourt/uri-js/commit/a1acf730b4bba3f1097c9f52e7d9d3aba8cdcaae
 * Copyright (c) 2021-present The Fastify team <https://github.com/fastify/fastify#team>
 * All rights reserved.
 *
 * Redistribution and use in source and binary forms, with or without modification, are permitted
 * provided that the following conditions are met:
 *     * Redistributions of source code must retain the above copyright notice, this list of
 *       conditions and the following disclaimer.
 *     * Redistributions in binary form must reproduce the above copyright notice, this list of
 *       conditions and the following disclaimer in the documentation and/or other materials
 *       provided with the distribution.
 *     * The names of any contributors may not be used to endorse or promote products derived from
 *       this software without specific prior written permission.
 *
 * THIS SOFTWARE IS PROVIDED BY THE COPYRIGHT HOLDERS AND CONTRIBUTORS "AS IS" AND ANY EXPRESS OR
 * IMPLIED WARRANTIES, INCLUDING, BUT NOT LIMITED TO, THE IMPLIED WARRANTIES OF MERCHANTABILITY AND
 * FITNESS FOR A PARTICULAR PURPOSE ARE DISCLAIMED. IN NO EVENT SHALL THE COPYRIGHT HOLDERS AND
 * CONTRIBUTORS BE LIABLE FOR ANY DIRECT, INDIRECT, INCIDENTAL, SPECIAL, EXEMPLARY, OR CONSEQUENTIAL
 * DAMAGES (INCLUDING, BUT NOT LIMITED TO, PROCUREMENT OF SUBSTITUTE GOODS OR SERVICES; LOSS OF USE,
 * DATA, OR PROFITS; OR BUSINESS INTERRUPTION) HOWEVER CAUSED AND ON ANY THEORY OF LIABILITY,
 * WHETHER IN CONTRACT, STRICT LIABILITY, OR TORT (INCLUDING NEGLIGENCE OR OTHERWISE) ARISING IN ANY
 * WAY OUT OF THE USE OF THIS SOFTWARE, EVEN IF ADVISED OF THE POSSIBILITY OF SUCH DAMAGE.
 *
 * The complete list of contributors can be found at:
 * - https://github.com/garycourt/uri-js/graphs/contributors
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
