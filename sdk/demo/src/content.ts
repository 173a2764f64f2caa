// What a chat message holds: reads any data into text and an image, and makes the data of own messages.
// Pure; it must not know the page.

/** Kinds that are shown as images; SVG is not one, since it is a document. */
const IMAGE_TYPES = ["image/jpeg", "image/png", "image/webp", "image/gif"];
/** Above this size an image of somebody else is not decoded. */
const MAX_IMAGE_BYTES = 1024 * 1024;

export interface Picture {
  readonly bytes: Uint8Array;
  readonly type: string;
  readonly width: number;
  readonly height: number;
}

export interface Content {
  readonly text: string;
  readonly picture?: Picture;
}

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** A list, an object or a value as JSON; binary data as its size. */
function asText(data: unknown): string {
  if (data instanceof Uint8Array) return `${data.length} bytes`;
  return JSON.stringify(data, (_, value: unknown) => (value instanceof Uint8Array ? `${value.length} bytes` : value)) ?? "";
}

export function readContent(data: unknown): Content {
  if (typeof data === "string") return { text: data };
  if (!isRecord(data)) return { text: asText(data) };
  const picture = readPicture(data);
  const text = typeof data["text"] === "string" ? data["text"] : picture ? "" : asText(data);
  return picture ? { text, picture } : { text };
}

function readPicture({ image, type, width, height }: Record<string, unknown>): Picture | undefined {
  if (!(image instanceof Uint8Array) || image.length > MAX_IMAGE_BYTES) return undefined;
  if (typeof type !== "string" || !IMAGE_TYPES.includes(type)) return undefined;
  return { bytes: image, type, width: side(width), height: side(height) };
}

const side = (value: unknown): number =>
  typeof value === "number" && value >= 1 && value <= 10_000 ? Math.round(value) : 320;

export function toData({ text, picture }: Content): Record<string, unknown> {
  if (!picture) return { text };
  const { bytes, ...shape } = picture;
  return { ...(text === "" ? {} : { text }), image: bytes, ...shape };
}

/** The page's policy admits images by `data:` only. */
export function dataUrl({ bytes, type }: Picture): string {
  let binary = "";
  for (let at = 0; at < bytes.length; at += 8192) binary += String.fromCharCode(...bytes.subarray(at, at + 8192));
  return `data:${type};base64,${btoa(binary)}`;
}
