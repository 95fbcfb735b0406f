import { type GreyImage, greyOf } from "./grey.ts";
import {
  austen,
  carroll,
  darwin,
  type Entry,
  lincoln,
  melville,
  type Passage,
  thoreauFood,
  thoreauHouse,
} from "./passages.ts";
import { fade, grain, speckle, tilt } from "./scan.ts";
import { type Block, Sheet, type Type } from "./sheet.ts";

/** A page as a picture, with every word on it in reading order. */
export interface Page {
  readonly name: string;
  readonly image: GreyImage;
  readonly text: string;
}

/** All sample pages. Fonts must have been registered. */
export function drawPages(): Page[] {
  return [serif(), sans(), columns(), rotated(), noisy(), table(), receipt()];
}

/** A page of a novel. */
function serif(): Page {
  const sheet = new Sheet(1240, 1500);
  sheet.write(austen.work.toUpperCase(), { face: "serif", size: 22 }, { x: 620, y: 110, align: "center" });
  sheet.write(austen.heading, { face: "serifItalic", size: 46 }, { x: 620, y: 240, align: "center" });
  writePassage(
    sheet,
    austen,
    { face: "serif", size: 28 },
    { x: 150, y: 340, width: 940, leading: 46, indent: 44, justified: true },
  );
  sheet.write("1", { face: "serif", size: 24 }, { x: 620, y: 1430, align: "center" });
  return { name: "serif", image: greyOf(sheet.canvas), text: sheet.text };
}

/** A printed notice without serifs, ragged on the right. */
function sans(): Page {
  const sheet = new Sheet(1240, 1180);
  sheet.write(lincoln.heading, { face: "sansBold", size: 50 }, { x: 110, y: 150 });
  sheet.rule({ x: 110, y: 185 }, { x: 1130, y: 185 }, 6);
  sheet.write("November 19, 1863", { face: "sans", size: 26 }, { x: 110, y: 245 });
  writePassage(sheet, lincoln, { face: "sans", size: 28 }, { x: 110, y: 330, width: 1020, leading: 46 }, 30);
  return { name: "sans", image: greyOf(sheet.canvas), text: sheet.text };
}

/** A magazine's page of two justified columns below one title. */
function columns(): Page {
  const sheet = new Sheet(1240, 1080);
  sheet.write(melville.heading, { face: "serifBold", size: 54 }, { x: 620, y: 130, align: "center" });
  sheet.write(melville.work, { face: "serifItalic", size: 28 }, { x: 620, y: 185, align: "center" });
  sheet.rule({ x: 100, y: 220 }, { x: 1140, y: 220 }, 3);
  const type: Type = { face: "serifNarrow", size: 27 };
  const block: Block = { x: 100, y: 285, width: 490, leading: 41, indent: 30, justified: true };
  const lines = melville.paragraphs.flatMap((paragraph) => sheet.wrap(paragraph, type, block));
  const half = Math.ceil(lines.length / 2);
  for (const [index, line] of lines.entries()) {
    const x = index < half ? block.x : 1140 - block.width;
    sheet.writeWrapped(line, type, { ...block, x, y: block.y + (index % half) * block.leading });
  }
  return { name: "columns", image: greyOf(sheet.canvas), text: sheet.text };
}

/** A page that lay askew on the scanner. */
function rotated(): Page {
  const sheet = new Sheet(1160, 1130);
  sheet.write(carroll.work.toUpperCase(), { face: "serif", size: 22 }, { x: 580, y: 110, align: "center" });
  sheet.write(carroll.heading, { face: "serifBold", size: 42 }, { x: 580, y: 210, align: "center" });
  const block: Block = { x: 120, y: 310, width: 920, leading: 48, indent: 40, justified: true };
  writePassage(sheet, carroll, { face: "serif", size: 29 }, block);
  return { name: "rotated", image: greyOf(tilt(sheet.canvas, 3.5)), text: sheet.text };
}

/** A tired photocopy: pale ink on greyish, dirty paper. */
function noisy(): Page {
  const sheet = new Sheet(1180, 1040);
  sheet.write(darwin.work, { face: "sansBold", size: 34 }, { x: 590, y: 120, align: "center" });
  sheet.write(darwin.heading, { face: "sans", size: 30 }, { x: 590, y: 190, align: "center" });
  const block: Block = { x: 110, y: 280, width: 960, leading: 47, indent: 40, justified: true };
  writePassage(sheet, darwin, { face: "serif", size: 28 }, block);
  const faded = fade(greyOf(sheet.canvas), { ink: 85, paper: 213 });
  const grainy = grain(faded, { seed: 1809, share: 0.03, depth: 17 });
  return { name: "noisy", image: speckle(grainy, { seed: 1859, share: 0.0025 }), text: sheet.text };
}

/** A ruled table of words and numbers. */
function table(): Page {
  const sheet = new Sheet(1240, 1140);
  sheet.write("What the House Cost", { face: "serifBold", size: 44 }, { x: 620, y: 120, align: "center" });
  const heading: Type = { face: "sansBold", size: 27 };
  const body: Type = { face: "sans", size: 27 };
  const row = (
    y: number,
    type: Type,
    [number = "", item = "", dollars = "", remark = ""]: readonly string[],
  ) =>
    sheet.writeCells([
      { text: number, type, place: { x: 190, y, align: "right" } },
      { text: item, type, place: { x: 240, y } },
      { text: dollars, type, place: { x: 750, y, align: "right" } },
      { text: remark, type, place: { x: 800, y } },
    ]);
  const height = 56;
  const top = 180;
  row(top + 38, heading, ["No.", "Article", "Dollars", "Remark"]);
  for (const [index, { item, dollars, remark }] of thoreauHouse.entries()) {
    row(top + (index + 1) * height + 38, body, [String(index + 1), item, dollars, remark]);
  }
  const bottom = top + (thoreauHouse.length + 1) * height;
  row(bottom + 38, heading, ["", "In all", totalOf(thoreauHouse), ""]);
  for (let y = top; y <= bottom + height; y += height) {
    sheet.rule({ x: 100, y }, { x: 1180, y }, y === top + height || y === bottom ? 3 : 1);
  }
  for (const x of [100, 215, 620, 775, 1180]) sheet.rule({ x, y: top }, { x, y: bottom + height }, 1);
  return { name: "table", image: greyOf(sheet.canvas), text: sheet.text };
}

/** A till's receipt on a narrow roll. */
function receipt(): Page {
  const sheet = new Sheet(620, 1060);
  const type: Type = { face: "mono", size: 26 };
  const strong: Type = { face: "monoBold", size: 30 };
  sheet.write("WALDEN PROVISIONS", strong, { x: 310, y: 80, align: "center" });
  sheet.write("Concord, Massachusetts", type, { x: 310, y: 122, align: "center" });
  sheet.write("4 July 1845", type, { x: 310, y: 160, align: "center" });
  const left = 50;
  const right = 570;
  const dashes = (y: number) => sheet.rule({ x: left, y }, { x: right, y }, 2, [12, 8]);
  const row = (y: number, item: string, dollars: string, face: Type) =>
    sheet.writeCells([
      { text: item, type: face, place: { x: left, y } },
      { text: dollars, type: face, place: { x: right, y, align: "right" } },
    ]);
  dashes(192);
  let y = 240;
  for (const { item, dollars, remark } of thoreauFood) {
    row(y, item, dollars, type);
    y += 40;
    if (remark === "") continue;
    sheet.write(remark, { face: "mono", size: 22 }, { x: left + 40, y: y - 4 });
    y += 36;
  }
  dashes(y - 14);
  row(y + 32, "TOTAL", `$${totalOf(thoreauFood)}`, strong);
  dashes(y + 62);
  sheet.write("Thank you, come again", type, { x: 310, y: y + 110, align: "center" });
  return { name: "receipt", image: greyOf(sheet.canvas), text: sheet.text };
}

function writePassage(sheet: Sheet, passage: Passage, type: Type, block: Block, gap = 0): void {
  let { y } = block;
  for (const paragraph of passage.paragraphs)
    y = sheet.writeParagraph(paragraph, type, { ...block, y }) + gap;
}

function totalOf(entries: readonly Entry[]): string {
  const cents = entries.reduce((sum, { dollars }) => sum + Math.round(Number(dollars) * 100), 0);
  return (cents / 100).toFixed(2);
}
