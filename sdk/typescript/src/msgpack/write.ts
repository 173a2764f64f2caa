// Values to MessagePack, each in its shortest form. Takes what JSON takes, and bytes and bigints.
import { fromBase64 } from "../json.js";
import { isRecord } from "../frames.js";

const FIRST_BYTES = 256;
const MOST_LEVELS = 70;

export function write(root: unknown): Uint8Array<ArrayBuffer> {
  let bytes = new Uint8Array(FIRST_BYTES);
  let view = new DataView(bytes.buffer);
  let at = 0;
  const text = new TextEncoder();

  // Makes room for `size` bytes; where they begin.
  const skip = (size: number): number => {
    if (at + size > bytes.length) {
      const grown = new Uint8Array(Math.max(bytes.length * 2, at + size));
      grown.set(bytes);
      bytes = grown;
      view = new DataView(bytes.buffer);
    }
    at += size;
    return at - size;
  };
  // `skip` may replace the view: it comes first.
  const byte = (value: number) => {
    const from = skip(1);
    view.setUint8(from, value);
  };
  const raw = (value: Uint8Array) => {
    const from = skip(value.length);
    bytes.set(value, from);
  };

  // A number of `width` bytes behind its first byte.
  const sized = (first: number, width: number, value: number) => {
    byte(first);
    const from = skip(width);
    if (width == 1) view.setUint8(from, value);
    else if (width == 2) view.setUint16(from, value);
    else view.setUint32(from, value);
  };
  // The head of something with a length: in the first byte itself, or in 1, 2 or 4 bytes.
  const head = (length: number, fixed: number, most: number, first: number, narrowest: 1 | 2) => {
    if (length <= most) return byte(fixed + length);
    if (length < 0x100 && narrowest == 1) return sized(first, 1, length);
    const wide = first + (narrowest == 1 ? 1 : 0);
    return length < 0x10000 ? sized(wide, 2, length) : sized(wide + 1, 4, length);
  };
  const big = (value: bigint) => {
    byte(value < 0 ? 0xd3 : 0xcf);
    const from = skip(8);
    if (value < 0) view.setBigInt64(from, value);
    else view.setBigUint64(from, value);
  };

  const number = (value: number) => {
    if (!Number.isFinite(value)) return byte(0xc0);
    if (!Number.isInteger(value) || Object.is(value, -0) || value >= 2 ** 64 || value < -(2 ** 63)) {
      byte(0xcb);
      const from = skip(8);
      return view.setFloat64(from, value);
    }
    if (value < -32) {
      if (value >= -0x80) return sized(0xd0, 1, value);
      if (value >= -0x8000) return sized(0xd1, 2, value);
      return value >= -0x80000000 ? sized(0xd2, 4, value) : big(BigInt(value));
    }
    if (value < 0x80) return byte(value & 0xff);
    if (value < 0x100) return sized(0xcc, 1, value);
    if (value < 0x10000) return sized(0xcd, 2, value);
    return value < 0x100000000 ? sized(0xce, 4, value) : big(BigInt(value));
  };

  const string = (value: string) => {
    const encoded = text.encode(value);
    head(encoded.length, 0xa0, 31, 0xd9, 1);
    raw(encoded);
  };
  const extension = (type: number, value: Uint8Array) => {
    const fixed = [1, 2, 4, 8, 16].indexOf(value.length);
    if (fixed >= 0) byte(0xd4 + fixed);
    else head(value.length, 0, -1, 0xc7, 1);
    byte(type & 0xff);
    raw(value);
  };

  const object = (value: object, level: number): void => {
    const json = "toJSON" in value && typeof value.toJSON == "function" ? (value.toJSON() as unknown) : value;
    if (json !== value) return any(json, level);
    const known = isExtension(value);
    if (known) return extension(...known);
    const fields = Object.entries(value).filter(([, field]) => field !== undefined && typeof field != "function");
    head(fields.length, 0x80, 15, 0xde, 2);
    for (const [name, field] of fields) {
      string(name);
      any(field, level);
    }
  };

  const any = (value: unknown, level: number): void => {
    if (level > MOST_LEVELS) throw new RangeError("the value is nested too deeply");
    if (typeof value == "boolean") byte(value ? 0xc3 : 0xc2);
    else if (typeof value == "number") number(value);
    else if (typeof value == "bigint") BigInt.asIntN(54, value) == value ? number(Number(value)) : big(value);
    else if (typeof value == "string") string(value);
    else if (value instanceof Uint8Array) {
      head(value.length, 0, -1, 0xc4, 1);
      raw(value);
    } else if (Array.isArray(value)) {
      head(value.length, 0x90, 15, 0xdc, 2);
      for (const item of value) any(item, level + 1);
    } else if (value && typeof value == "object") object(value, level + 1);
    else byte(0xc0);
  };

  any(root, 0);
  return bytes.slice(0, at);
}

function isExtension(value: object): [number, Uint8Array] | undefined {
  if (!isRecord(value) || Object.keys(value).length != 1 || !Array.isArray(value.$ext)) return;
  const [type, text, more] = value.$ext as unknown[];
  const bytes = fromBase64(text);
  if (!bytes || more !== undefined || !Number.isInteger(type) || Math.abs(Number(type)) > 128) return;
  return [Number(type), bytes];
}
