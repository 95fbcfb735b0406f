/** Lays text out on a page. */
import { createRequire } from "node:module";
import { type Canvas, createCanvas, GlobalFonts, type SKRSContext2D } from "@napi-rs/canvas";

const faces = {
  serif: "DejaVuSerif.ttf",
  serifBold: "DejaVuSerif-Bold.ttf",
  serifItalic: "DejaVuSerif-Italic.ttf",
  serifNarrow: "DejaVuSerifCondensed.ttf",
  sans: "DejaVuSans.ttf",
  sansBold: "DejaVuSans-Bold.ttf",
  mono: "DejaVuSansMono.ttf",
  monoBold: "DejaVuSansMono-Bold.ttf",
} as const;

export type Face = keyof typeof faces;

/** A face and its size in pixels. */
export interface Type {
  readonly face: Face;
  readonly size: number;
}

/** Where a line of text goes: `x` is its left end, middle or right end as `align` says; `y` is its baseline. */
export interface Place {
  readonly x: number;
  readonly y: number;
  readonly align?: "left" | "center" | "right";
}

/** A block of running text: its left edge, the baseline of its first line, its width and its leading in pixels. */
export interface Block {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly leading: number;
  readonly indent?: number;
  readonly justified?: boolean;
}

/** A line of a paragraph. The first one is indented, the last one is not stretched to the block's width. */
export interface WrappedLine {
  readonly words: readonly string[];
  readonly first: boolean;
  readonly last: boolean;
}

/** White paper that remembers, line by line, what was written on it. */
export class Sheet {
  readonly canvas: Canvas;
  readonly #context: SKRSContext2D;
  readonly #lines: string[] = [];

  constructor(width: number, height: number) {
    this.canvas = createCanvas(width, height);
    this.#context = this.canvas.getContext("2d");
    this.#context.fillStyle = "#fff";
    this.#context.fillRect(0, 0, width, height);
    this.#context.fillStyle = "#111";
    // Left alone, the language of the host chooses between variants of a glyph.
    this.#context.lang = "en";
  }

  /** All that was written, one line for each line of the sheet, in the order of writing. */
  get text(): string {
    return `${this.#lines.join("\n")}\n`;
  }

  /** Writes one line. */
  write(text: string, type: Type, place: Place): void {
    this.#draw(text, type, place);
    this.#lines.push(text);
  }

  /** Writes pieces of one line at places of their own, such as the cells of a table's row. Empty pieces are skipped. */
  writeCells(cells: readonly { text: string; type: Type; place: Place }[]): void {
    const written = cells.filter((cell) => cell.text !== "");
    for (const cell of written) this.#draw(cell.text, cell.type, cell.place);
    this.#lines.push(written.map((cell) => cell.text).join(" "));
  }

  /** Writes a paragraph in lines as long as its block allows, and returns the baseline of the line after it. */
  writeParagraph(text: string, type: Type, block: Block): number {
    const lines = this.wrap(text, type, block);
    for (const [index, line] of lines.entries()) {
      this.writeWrapped(line, type, { ...block, y: block.y + index * block.leading });
    }
    return block.y + lines.length * block.leading;
  }

  /** The lines of a paragraph set in a block, for pages that place each of them on their own. */
  wrap(text: string, type: Type, block: Block): WrappedLine[] {
    this.#context.font = fontOf(type);
    const lines: string[][] = [[]];
    // A line may also end after a long dash, whose neighbours are written without a space.
    for (const piece of text.split(/ |(?<=—)/u)) {
      const line = lines.at(-1) ?? [];
      const room = block.width - (lines.length === 1 ? (block.indent ?? 0) : 0);
      const longer = extended(line, piece);
      const fits = this.#context.measureText(longer.join(" ")).width <= room;
      if (fits || line.length === 0) lines[lines.length - 1] = longer;
      else lines.push([piece]);
    }
    return lines.map((words, index) => ({ words, first: index === 0, last: index === lines.length - 1 }));
  }

  /** Writes one line of a wrapped paragraph as the first line of the block. */
  writeWrapped({ words, first, last }: WrappedLine, type: Type, block: Block): void {
    const indent = first ? (block.indent ?? 0) : 0;
    const place = { x: block.x + indent, y: block.y };
    if (block.justified && !last) this.#justify(words, type, place, block.width - indent);
    else this.#draw(words.join(" "), type, place);
    this.#lines.push(words.join(" "));
  }

  /** Draws a straight line `weight` pixels thick, dashed if asked. */
  rule(from: { x: number; y: number }, to: { x: number; y: number }, weight = 2, dash: number[] = []): void {
    this.#context.strokeStyle = "#111";
    this.#context.lineWidth = weight;
    this.#context.setLineDash(dash);
    this.#context.beginPath();
    this.#context.moveTo(from.x, from.y);
    this.#context.lineTo(to.x, to.y);
    this.#context.stroke();
  }

  #draw(text: string, type: Type, { x, y, align = "left" }: Place): void {
    this.#context.font = fontOf(type);
    this.#context.textAlign = align;
    this.#context.fillText(text, x, y);
  }

  #justify(words: readonly string[], type: Type, place: { x: number; y: number }, width: number): void {
    this.#context.font = fontOf(type);
    const widths = words.map((word) => this.#context.measureText(word).width);
    const gap = (width - widths.reduce((sum, each) => sum + each, 0)) / Math.max(1, words.length - 1);
    let { x } = place;
    for (const [index, word] of words.entries()) {
      this.#draw(word, type, { x, y: place.y });
      x += (widths[index] ?? 0) + gap;
    }
  }
}

/** Fonts come from a package, so that pages do not depend on what a machine has installed. */
export function registerFaces(): void {
  const resolve = createRequire(import.meta.url).resolve;
  for (const [face, file] of Object.entries(faces)) {
    const path = resolve(`dejavu-fonts-ttf/ttf/${file}`);
    if (!GlobalFonts.registerFromPath(path, `page-${face}`)) {
      throw new Error(`The font file ${path} cannot be read as a font. Reinstall it with "npm ci".`);
    }
  }
}

function fontOf({ face, size }: Type): string {
  return `${size}px page-${face}`;
}

function extended(line: readonly string[], piece: string): string[] {
  const last = line.at(-1);
  return last?.endsWith("—") ? [...line.slice(0, -1), last + piece] : [...line, piece];
}
