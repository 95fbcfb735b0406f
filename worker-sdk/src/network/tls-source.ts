import { createPrivateKey, X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import type { TlsMaterial } from "../options/connection-options.ts";

/** Certificates that came from files, as the files have them now: renewed ones are used from the next dial on. */
export class TlsSource {
  #current: TlsMaterial | undefined;

  constructor(material: TlsMaterial | undefined) {
    this.#current = material;
  }

  /** What a dial uses now. Files that cannot be read, or that are being replaced, leave the last good ones in use. */
  read(): TlsMaterial | undefined {
    const files = this.#current?.files;
    if (files === undefined) return this.#current;
    try {
      const text = (path: string | undefined) =>
        path === undefined ? undefined : readFileSync(path, "utf8");
      const next = { ca: text(files.ca), cert: text(files.cert), key: text(files.key), files };
      if (isWhole(next)) this.#current = next;
    } catch {
      // The dial says what is wrong with those in use, if anything is.
    }
    return this.#current;
  }
}

function isWhole({ ca, cert, key }: TlsMaterial): boolean {
  if (ca !== undefined) new X509Certificate(ca);
  if (cert === undefined || key === undefined) return true;
  return new X509Certificate(cert).checkPrivateKey(createPrivateKey(key));
}
