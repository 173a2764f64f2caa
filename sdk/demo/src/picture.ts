// Makes a picture small enough for one message. Needs the browser's canvas; it must not know the client.
import type { Picture } from "./content";

/** A namespace takes 64 KiB of data by default, as base64 in JSON: 45,000 bytes leave room for a text. */
const MAX_BYTES = 45_000;
const SIDES = [1280, 960, 720, 540, 400, 280];
const QUALITIES = [0.82, 0.66, 0.5];

/** Rejects if the file is no image, or cannot be made small enough. */
export async function shrink(file: Blob): Promise<Picture> {
  const image = await createImageBitmap(file);
  try {
    for (const side of SIDES) {
      const scale = Math.min(1, side / Math.max(image.width, image.height));
      const width = Math.max(1, Math.round(image.width * scale));
      const height = Math.max(1, Math.round(image.height * scale));
      const canvas = draw(image, width, height);
      for (const quality of QUALITIES) {
        const blob = await encode(canvas, quality);
        if (blob.size > MAX_BYTES) continue;
        return { bytes: new Uint8Array(await blob.arrayBuffer()), type: blob.type, width, height };
      }
    }
  } finally {
    image.close();
  }
  throw new Error("The image cannot be made small enough.");
}

function draw(image: ImageBitmap, width: number, height: number): HTMLCanvasElement {
  const canvas = document.createElement("canvas");
  canvas.width = width;
  canvas.height = height;
  const context = canvas.getContext("2d");
  if (!context) throw new Error("This browser cannot draw images.");
  // JPEG has no transparency: what is transparent becomes white, not black.
  context.fillStyle = "#fff";
  context.fillRect(0, 0, width, height);
  context.drawImage(image, 0, 0, width, height);
  return canvas;
}

const encode = (canvas: HTMLCanvasElement, quality: number): Promise<Blob> =>
  new Promise((resolve, reject) => {
    canvas.toBlob((blob) => (blob ? resolve(blob) : reject(new Error("The image cannot be encoded."))), "image/jpeg", quality);
  });
