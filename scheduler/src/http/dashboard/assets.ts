/** The files of the dashboard, which its build compressed. */
import { readdir, readFile } from "node:fs/promises";
import { promisify } from "node:util";
import { brotliDecompress, gzip } from "node:zlib";

/** Where the build writes them, beside `src` and `dist`. */
const FOLDER = new URL("../../../dashboard/", import.meta.url);

const COMPRESSED = ".br";

const TYPES: Readonly<Record<string, string>> = {
  html: "text/html; charset=utf-8",
  js: "text/javascript; charset=utf-8",
  css: "text/css; charset=utf-8",
  svg: "image/svg+xml",
};

/** Encodings in which a file can be sent, by what browsers prefer. */
export type Encoding = "br" | "gzip" | "identity";

/** A file of the page. */
export interface Asset {
  readonly type: string;
  readonly bytes: (encoding: Encoding) => Promise<Buffer>;
}

/** Reads nothing before the first request. */
export class DashboardAssets {
  readonly #folder: URL;
  #files: Promise<ReadonlyMap<string, Asset>> | undefined;

  constructor(folder = FOLDER) {
    this.#folder = folder;
  }

  /** A file by its name, for example `index.html`; undefined when there is none. */
  async get(name: string): Promise<Asset | undefined> {
    this.#files ??= read(this.#folder).catch((error: NodeJS.ErrnoException) => {
      this.#files = undefined;
      if (error.code === "ENOENT") return new Map();
      throw error;
    });
    return (await this.#files).get(name);
  }
}

async function read(folder: URL): Promise<ReadonlyMap<string, Asset>> {
  const names = (await readdir(folder)).filter((name) => name.endsWith(COMPRESSED));
  const files = await Promise.all(
    names.map(async (file) => {
      const name = file.slice(0, -COMPRESSED.length);
      return [name, asset(name, await readFile(new URL(file, folder)))] as const;
    }),
  );
  return new Map(files);
}

function asset(name: string, compressed: Buffer): Asset {
  const made = new Map<Encoding, Promise<Buffer>>([["br", Promise.resolve(compressed)]]);
  const bytes = (encoding: Encoding): Promise<Buffer> => {
    const known = made.get(encoding);
    if (known) return known;
    // Browsers take Brotli only by HTTPS and from the own machine.
    const making = decompress(compressed).then((plain) => (encoding === "gzip" ? zip(plain) : plain));
    made.set(encoding, making);
    return making;
  };
  return { type: TYPES[name.slice(name.lastIndexOf(".") + 1)] ?? "application/octet-stream", bytes };
}

const decompress = promisify(brotliDecompress);
const zip = promisify(gzip);

/** What the client takes, by its header Accept-Encoding. */
export function encodingFor(accepted = ""): Encoding {
  const offers = accepted.split(",").map((offer) => offer.trim().toLowerCase());
  const takes = (name: string) =>
    offers.some(
      (offer) => offer === name || (offer.startsWith(`${name};`) && !/;\s*q=0(\.0*)?$/.test(offer)),
    );
  if (takes("br")) return "br";
  return takes("gzip") ? "gzip" : "identity";
}
