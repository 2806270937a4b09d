/**
 * `libc.ts`: what the C library gives is the caller's.
 *
 * @module
 */
import { readSystemBytes } from "../../system/libc.ts";
import { assertEquals } from "../helpers.ts";

Deno.test({
  name: "readSystemBytes() leaves alone what an earlier call has read",
  ignore: Deno.build.os !== "linux",
  fn() {
    const first = readSystemBytes("/proc/self/cmdline")!;
    const before = [...first];
    readSystemBytes("/proc/self/status");
    assertEquals([...first], before);
  },
});
