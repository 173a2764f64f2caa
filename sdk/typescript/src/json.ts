// The default encoding: JSON text, with bytes as {"$bin": base64}. Knows no frame.
import { isRecord } from "./frames.js";
import type { Encoding } from "./types.js";

export function toBase64(bytes: Uint8Array): string {
  let text = "";
  for (const byte of bytes) text += String.fromCharCode(byte);
  return btoa(text);
}

/** The bytes, or nothing if the value is not the one text that base64 with padding has for them. */
export function fromBase64(value: unknown): Uint8Array<ArrayBuffer> | undefined {
  try {
    const text = atob(value as string);
    if (btoa(text) === value) return Uint8Array.from(text, (char) => char.charCodeAt(0));
  } catch {
    // It is no base64.
  }
  return;
}

// `this` is the holder: a Buffer's own `toJSON` has run before the replacer sees its value.
function replace(this: unknown, key: string, value: unknown): unknown {
  const raw = (this as Record<string, unknown>)[key];
  return raw instanceof Uint8Array ? { $bin: toBase64(raw) } : value;
}

function revive(_: string, value: unknown): unknown {
  return isRecord(value) && String(Object.keys(value)) == "$bin" ? (fromBase64(value.$bin) ?? value) : value;
}

export const json: Encoding = {
  protocol: "roomcast.v1.json",
  encode: (frame) => JSON.stringify(frame, replace),
  decode(data) {
    // What is no text becomes one that is no JSON.
    const text = String(data);
    // A reviver makes parsing several times slower: most frames hold no bytes.
    return JSON.parse(text, text.includes('"$bin"') ? revive : undefined);
  },
};
