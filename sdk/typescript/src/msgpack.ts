// The entry `./msgpack`: the encoding for connections that carry MessagePack. Values map as
// docs/protocol.md says: bytes are Uint8Array, an extension is {$ext: [type, base64]} as in JSON, and
// integers beyond 2^53 become the nearest number (a bigint may be sent).
import { read } from "./msgpack/read.js";
import { write } from "./msgpack/write.js";
import type { Encoding } from "./types.js";

/** Give this to a client as `encoding`. */
export const msgpack: Encoding = {
  protocol: "roomcast.v1.msgpack",
  encode: write,
  decode(data) {
    if (data instanceof ArrayBuffer) return read(new Uint8Array(data));
    if (data instanceof Uint8Array) return read(data);
    throw new TypeError("not binary");
  },
};
