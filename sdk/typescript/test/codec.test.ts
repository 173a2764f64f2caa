// Both encodings against the golden vectors that the node's own tests read, and against each other.
import { readFileSync, readdirSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { isServerFrame } from "../src/frames.js";
import { json } from "../src/json.js";
import { msgpack } from "../src/msgpack.js";

const folder = new URL("../../../crates/protocol/golden/", import.meta.url);
const vectors = readdirSync(folder)
  .filter((name) => name.endsWith(".json"))
  .map((name) => JSON.parse(readFileSync(new URL(name, folder), "utf8")) as { name: string; direction: string; json: string; msgpack: string });

const bytesOf = (hex: string) => Uint8Array.from(hex.match(/../g) ?? [], (pair) => parseInt(pair, 16));

describe("golden vectors", () => {
  test("there are vectors of both directions", () => {
    expect(vectors.filter(({ direction }) => direction == "server").length).toBeGreaterThan(40);
    expect(vectors.filter(({ direction }) => direction == "client").length).toBeGreaterThan(20);
  });

  test.each(vectors)("$direction $name decodes alike from both encodings", (vector) => {
    expect(msgpack.decode(bytesOf(vector.msgpack))).toEqual(json.decode(vector.json));
  });

  test.each(vectors)("$direction $name is written again as it was", (vector) => {
    const frame = json.decode(vector.json);
    // Integers beyond 2^53 are no numbers of JavaScript: compared by what is read back.
    if (/\d{17}/.test(vector.json)) expect(msgpack.decode(msgpack.encode(frame))).toEqual(frame);
    else {
      expect(json.encode(frame)).toBe(vector.json);
      expect(msgpack.encode(frame)).toEqual(bytesOf(vector.msgpack));
    }
  });

  test.each(vectors.filter(({ direction }) => direction == "server"))("$name is a frame of the node", (vector) => {
    expect(isServerFrame(json.decode(vector.json))).toBe(true);
  });
});

describe("values", () => {
  const values = [
    0, -1, 127, 128, 255, 256, 65_535, 65_536, 2 ** 32, 2 ** 53 - 1, -32, -33, -128, -129, -32_768, -32_769, -(2 ** 31), -(2 ** 31) - 1,
    -(2 ** 53) + 1, 0.1, -0.5, "", "é😀", "x".repeat(31), "x".repeat(32), "x".repeat(256), "x".repeat(70_000), true, false, null,
    [], Array.from({ length: 16 }, (_, index) => index), Array.from({ length: 70_000 }, () => 1), {},
    Object.fromEntries(Array.from({ length: 20 }, (_, index) => [`k${index}`, index])), { a: { b: [{ c: null }] } },
  ];
  test.each(values.map((value, index) => [index, value]))("value %i survives both encodings", (_, value) => {
    expect(msgpack.decode(msgpack.encode(value))).toEqual(value);
    expect(json.decode(json.encode(value))).toEqual(value);
  });

  test.each([0, 1, 255, 256, 70_000])("%i bytes survive both encodings", (length) => {
    const bytes = Uint8Array.from({ length }, (_, index) => index);
    expect(msgpack.decode(msgpack.encode({ data: bytes }))).toEqual({ data: bytes });
    expect(json.decode(json.encode({ data: bytes }))).toEqual({ data: bytes });
    expect(json.encode({ data: Buffer.from(bytes) })).toBe(json.encode({ data: bytes }));
  });

  test("what only looks like bytes stays an object", () => {
    for (const value of [{ $bin: "no base64!" }, { $bin: "AA==", more: 1 }, { $bin: 1 }, { $bin: "AAA" }]) {
      expect(json.decode(json.encode(value))).toEqual(value);
    }
  });

  test("a bigint is sent exactly by MessagePack", () => {
    expect(msgpack.encode(2n ** 64n - 1n)).toEqual(bytesOf("cfffffffffffffffff"));
    expect(msgpack.encode(-(2n ** 63n))).toEqual(bytesOf("d38000000000000000"));
    expect(msgpack.encode(5n)).toEqual(bytesOf("05"));
  });

  test("a key called __proto__ is a key", () => {
    const value = msgpack.decode(bytesOf("81a95f5f70726f746f5f5f01")) as object;
    expect(Object.keys(value)).toEqual(["__proto__"]);
    expect(Object.getPrototypeOf(value)).toBe(Object.prototype);
  });

  test.each(["", "c1", "a5616263", "92 01", "01 02", "81 90 01", "d9ff61", "91".repeat(100) + "c0", "a1ff"])(
    "%s is refused",
    (hex) => expect(() => msgpack.decode(bytesOf(hex.replaceAll(" ", "")))).toThrow(),
  );

  test("an encoding refuses the other's frames", () => {
    expect(() => json.decode(new ArrayBuffer(1))).toThrow();
    expect(() => msgpack.decode("{}")).toThrow();
  });

  test.each([null, 1, "x", [], {}, { type: 1 }, { type: "message", room: "a", seq: "1", time: 1 }, { type: "gap", room: "a", from: 1, to: null }])(
    "%j is no frame",
    (value) => expect(isServerFrame(value)).toBe(false),
  );
});
