import { createPrivateKey, X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import type { TlsMaterial } from "../options/connection-options.ts";

/** Reads certificates from their files for every dial, so that renewed ones are used from the next dial on. */
export class TlsSource {
  #current: TlsMaterial | undefined;

  constructor(material: TlsMaterial | undefined) {
    this.#current = material;
  }

  /**
   * Certificates for the next dial. While files cannot be read, or are being replaced, the last valid ones are used.
   */
  read(): TlsMaterial | undefined {
    const files = this.#current?.files;
    if (files === undefined) return this.#current;
    try {
      const text = (path: string | undefined) =>
        path === undefined ? undefined : readFileSync(path, "utf8");
      const next = { ca: text(files.ca), cert: text(files.cert), key: text(files.key), files };
      if (isWhole(next)) this.#current = next;
    } catch {
      // The dial reports what is wrong with those in use.
    }
    return this.#current;
  }
}

function isWhole({ ca, cert, key }: TlsMaterial): boolean {
  if (ca !== undefined) new X509Certificate(ca);
  if (cert === undefined || key === undefined) return true;
  return new X509Certificate(cert).checkPrivateKey(createPrivateKey(key));
}
