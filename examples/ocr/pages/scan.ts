/** Makes a page look like a scan: noise, skew and uneven light. */
import { type Canvas, createCanvas } from "@napi-rs/canvas";
import type { GreyImage } from "./grey.ts";

/** Numbers in [0, 1) that depend on the seed alone (mulberry32 by Tommy Ettinger, public domain). */
export function randomNumbers(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** The sheet laid askew on the glass of a scanner, whose lid shows as a grey rim. Clockwise, in degrees. */
export function tilt(sheet: Canvas, degrees: number): Canvas {
  const rim = 60;
  const canvas = createCanvas(sheet.width + 2 * rim, sheet.height + 2 * rim);
  const context = canvas.getContext("2d");
  context.fillStyle = "#d4d4d4";
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.translate(canvas.width / 2, canvas.height / 2);
  context.rotate((degrees * Math.PI) / 180);
  context.drawImage(sheet, -sheet.width / 2, -sheet.height / 2);
  return canvas;
}

/** The greys squeezed between `ink` and `paper`. */
export function fade(image: GreyImage, { ink, paper }: { ink: number; paper: number }): GreyImage {
  return { ...image, pixels: image.pixels.map((grey) => Math.round(ink + ((paper - ink) * grey) / 255)) };
}

/** The grain of a copier: a `share` of the pixels are lighter or darker by `depth`. */
export function grain(
  image: GreyImage,
  { seed, share, depth }: { seed: number; share: number; depth: number },
): GreyImage {
  const random = randomNumbers(seed);
  const pixels = image.pixels.map((grey) => {
    const chance = random();
    if (chance >= share) return grey;
    return Math.min(255, Math.max(0, chance < share / 2 ? grey - depth : grey + depth));
  });
  return { ...image, pixels };
}

/** Dots of dirt, one to three pixels wide, dark or light: `share` of the picture's pixels start one. */
export function speckle(image: GreyImage, { seed, share }: { seed: number; share: number }): GreyImage {
  const random = randomNumbers(seed);
  const pixels = image.pixels.slice();
  for (let dot = 0; dot < image.pixels.length * share; dot += 1) {
    const left = Math.floor(random() * image.width);
    const top = Math.floor(random() * image.height);
    const size = 1 + Math.floor(random() ** 4 * 3);
    const grey = random() < 0.7 ? 60 + random() * 80 : 255;
    for (let y = top; y < Math.min(top + size, image.height); y += 1) {
      pixels.fill(grey, y * image.width + left, y * image.width + Math.min(left + size, image.width));
    }
  }
  return { ...image, pixels };
}
