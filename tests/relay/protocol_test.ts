/** The frames as bytes: what is on the wire may not change without the version. */
import {
  decode,
  encode,
  Frame,
  FrameReader,
  PROTOCOL,
  ProtocolError,
} from "../../relay/protocol.ts";
import { assertEquals, assertThrows } from "../helpers.ts";

Deno.test("encode() makes the bytes of version 1, decode() reads them", () => {
  assertEquals(PROTOCOL, 1);
  const wire: [Uint8Array, string][] = [
    [encode(Frame.HELLO, { protocol: 1 }), '\x0f\0\0\0\x01{"protocol":1}'],
    [
      encode(Frame.RESIZE, { columns: 80, rows: 24 }),
      '\x19\0\0\0\x04{"columns":80,"rows":24}',
    ],
    [encode(Frame.INPUT, new Uint8Array([97])), "\x02\0\0\0\x03a"],
    [encode(Frame.DETACH), "\x01\0\0\0\x05"],
  ];
  for (const [bytes, expected] of wire) {
    assertEquals(new TextDecoder().decode(bytes), expected);
  }
  const reader = new FrameReader(100);
  const bytes = encode(Frame.RESIZE, { columns: 80, rows: 24 });
  reader.room.set(bytes);
  reader.filled(bytes.length);
  const frame = reader.next()!;
  assertEquals(decode(Frame.RESIZE, frame), { columns: 80, rows: 24 });
  assertThrows(
    () => decode(Frame.HELLO, frame),
    ProtocolError,
    "type 4, not 1",
  );
  // @ts-expect-error: the columns have another name.
  void (() => encode(Frame.RESIZE, { cols: 80, rows: 24 }));
  // @ts-expect-error: there are no lines in it.
  void (() => decode(Frame.RESIZE, frame).lines);
});
