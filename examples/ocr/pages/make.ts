import { writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { drawPages } from "./designs.ts";
import { encodePng } from "./grey.ts";
import { registerFaces } from "./sheet.ts";

// Draws the sample pages again: `npx node examples/ocr/pages/make.ts`. The same sources give the same bytes.
registerFaces();
for (const { name, image, text } of drawPages()) {
  const png = encodePng(image);
  await writeFile(fileURLToPath(new URL(`${name}.png`, import.meta.url)), png);
  await writeFile(fileURLToPath(new URL(`${name}.txt`, import.meta.url)), text);
  const words = text.trim().split(/\s+/).length;
  const kilobytes = Math.ceil(png.length / 1024);
  process.stdout.write(`${name}.png  ${image.width} x ${image.height}  ${kilobytes} KB  ${words} words\n`);
}
