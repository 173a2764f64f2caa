// MessagePack to values. Knows no frame; every length is checked against what is there.
import { toBase64 } from "../json.js";

// As many levels as the node takes, and a few for the frame around them.
const MOST_LEVELS = 70;

export function read(bytes: Uint8Array): unknown {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const text = new TextDecoder("utf-8", { fatal: true });
  let at = 0;

  // Where the next `size` bytes begin; the views below throw where there are none.
  const skip = (size: number): number => {
    if (at + size > bytes.length) throw new RangeError("the value is cut off");
    at += size;
    return at - size;
  };
  const slice = (size: number): Uint8Array => bytes.slice(skip(size), at);
  const length = (width: number): number => {
    const from = skip(width);
    return width == 1 ? view.getUint8(from) : width == 2 ? view.getUint16(from) : view.getUint32(from);
  };
  const string = (size: number): string => text.decode(bytes.subarray(skip(size), at));
  const extension = (size: number) => {
    const type = view.getInt8(skip(1));
    return { $ext: [type, toBase64(slice(size))] };
  };

  const list = (size: number, level: number): unknown[] => {
    const values: unknown[] = [];
    for (let index = 0; index < size; index++) values.push(value(level));
    return values;
  };
  const map = (size: number, level: number): Record<string, unknown> => {
    const values: Record<string, unknown> = {};
    for (let index = 0; index < size; index++) {
      const key = value(level);
      if (key instanceof Object) throw new TypeError("a key is a list or a map");
      const name = typeof key == "string" ? key : JSON.stringify(key);
      // A key may be called `__proto__`: it is a key like any other.
      Object.defineProperty(values, name, { value: value(level), enumerable: true, writable: true, configurable: true });
    }
    return values;
  };

  const value = (level: number): unknown => {
    if (level > MOST_LEVELS) throw new RangeError("the value is nested too deeply");
    const byte = length(1);
    const next = level + 1;
    if (byte < 0x80) return byte;
    if (byte < 0x90) return map(byte & 15, next);
    if (byte < 0xa0) return list(byte & 15, next);
    if (byte < 0xc0) return string(byte & 31);
    if (byte >= 0xe0) return byte - 0x100;
    switch (byte) {
      case 0xc0:
        return null;
      case 0xc2:
        return false;
      case 0xc3:
        return true;
      case 0xca:
        return finite(view.getFloat32(skip(4)));
      case 0xcb:
        return finite(view.getFloat64(skip(8)));
      case 0xcf:
        return Number(view.getBigUint64(skip(8)));
      case 0xd0:
        return view.getInt8(skip(1));
      case 0xd1:
        return view.getInt16(skip(2));
      case 0xd2:
        return view.getInt32(skip(4));
      case 0xd3:
        return Number(view.getBigInt64(skip(8)));
    }
    // Families of three: the length has one, two or four bytes.
    if (byte >= 0xc4 && byte <= 0xc6) return slice(length(1 << (byte - 0xc4)));
    if (byte >= 0xc7 && byte <= 0xc9) return extension(length(1 << (byte - 0xc7)));
    if (byte >= 0xcc && byte <= 0xce) return length(1 << (byte - 0xcc));
    if (byte >= 0xd4 && byte <= 0xd8) return extension(1 << (byte - 0xd4));
    if (byte >= 0xd9 && byte <= 0xdb) return string(length(1 << (byte - 0xd9)));
    if (byte >= 0xdc && byte <= 0xdd) return list(length(2 << (byte - 0xdc)), next);
    if (byte >= 0xde) return map(length(2 << (byte - 0xde)), next);
    throw new TypeError("a byte that begins no value");
  };

  const result = value(0);
  if (at < bytes.length) throw new RangeError("bytes after the value");
  return result;
}

// JSON has no others, and both encodings carry the same.
function finite(number: number): number | null {
  return Number.isFinite(number) ? number : null;
}
