/** Reads certificates again when their files change. */
import { createPrivateKey, X509Certificate } from "node:crypto";
import { readFile } from "node:fs/promises";
import { createSecureContext } from "node:tls";
import type { Clock } from "../../clock.ts";
import type { Config } from "../../config/config.ts";
import { OperatorError } from "../../domain/errors.ts";
import { span } from "../../domain/explain/reason.ts";
import type { Logger } from "../../telemetry/logs/logger.ts";

/** How often the files are compared with what is in use: three small reads. */
const LOOK_EVERY_MS = 2_000;

/** A certificate that expires within this is a warning. */
const EXPIRES_SOON_MS = 7 * 86_400_000;

/** What a TLS server is set up with. */
export interface TlsMaterial {
  readonly cert: Buffer;
  readonly key: Buffer;
  /** Authorities of client certificates; undefined when clients need none. */
  readonly ca: Buffer | undefined;
}

type Files = NonNullable<Config["tls"]>;

/** The server's certificate files, read again by themselves when they change and at SIGHUP. */
export class TlsFiles {
  readonly #files: Files;
  readonly #log: Logger;
  readonly #clock: Pick<Clock, "now">;
  readonly #listeners = new Set<(material: TlsMaterial) => void>();
  #current: TlsMaterial;
  /** Fault of the last read, so that the same fault is logged once. */
  #fault = "";
  #toldExpiry: "valid" | "soon" | "expired" = "valid";
  #stopped = false;
  #stop: () => void = () => undefined;

  private constructor(files: Files, current: TlsMaterial, parts: { log: Logger; clock: Clock }) {
    this.#files = files;
    this.#current = current;
    this.#log = parts.log;
    this.#clock = parts.clock;
    this.#tellExpiry();
    this.#arm(parts.clock);
  }

  #arm(clock: Pick<Clock, "after">): void {
    if (this.#stopped) return;
    this.#stop = clock.after(
      LOOK_EVERY_MS,
      () => void this.#look("the files changed").finally(() => this.#arm(clock)),
    );
  }

  /** @throws Error that names the file and what is wrong with it. */
  static async open(files: Files, parts: { log: Logger; clock: Clock }): Promise<TlsFiles> {
    return new TlsFiles(files, await load(files), parts);
  }

  get current(): TlsMaterial {
    return this.#current;
  }

  /** Calls back with every new certificate. */
  onChange(listener: (material: TlsMaterial) => void): void {
    this.#listeners.add(listener);
  }

  /** Looks at once, because of a SIGHUP. */
  reload(): Promise<void> {
    this.#fault = "";
    return this.#look("SIGHUP");
  }

  stop(): void {
    this.#stopped = true;
    this.#stop();
  }

  async #look(why: string): Promise<void> {
    let material: TlsMaterial;
    try {
      material = await load(this.#files);
    } catch (error) {
      const fault = error instanceof Error ? error.message : String(error);
      if (fault !== this.#fault) {
        this.#log.error("tls.not_reloaded", {
          problem: fault,
          consequence: "the certificate in use stays in use; the files are read again every 2 s",
        });
      }
      this.#fault = fault;
      return;
    }
    this.#fault = "";
    if (same(material, this.#current)) {
      if (why === "SIGHUP") this.#log.info("tls.unchanged", { ...facts(material) });
      this.#tellExpiry();
      return;
    }
    this.#current = material;
    for (const listener of this.#listeners) listener(material);
    this.#log.info("tls.reloaded", { reason: why, ...facts(material) });
    this.#toldExpiry = "valid";
    this.#tellExpiry();
  }

  #tellExpiry(): void {
    const leftMs = new X509Certificate(this.#current.cert).validToDate.getTime() - this.#clock.now();
    const state = leftMs <= 0 ? "expired" : leftMs <= EXPIRES_SOON_MS ? "soon" : "valid";
    if (state === this.#toldExpiry) return;
    this.#toldExpiry = state;
    if (state === "valid") return;
    const how =
      leftMs <= 0 ? `expired ${span(-leftMs)} ago: every new connection fails` : `expires in ${span(leftMs)}`;
    this.#log.warn("tls.certificate_expires", {
      ...facts(this.#current),
      problem: `the certificate ${how}`,
      remedy: `replace ${this.#files.certFile} and ${this.#files.keyFile}; they are read again without a restart`,
    });
  }
}

async function load(files: Files): Promise<TlsMaterial> {
  const cert = await read(files.certFile, "--tls-cert");
  const key = await read(files.keyFile, "--tls-key");
  const ca = files.clientCaFile === undefined ? undefined : await read(files.clientCaFile, "--tls-client-ca");
  const certificate = parsed(() => new X509Certificate(cert), files.certFile, "a certificate in PEM");
  const privateKey = parsed(() => createPrivateKey(key), files.keyFile, "a private key in PEM");
  if (!certificate.checkPrivateKey(privateKey))
    throw new OperatorError(
      `the certificate in ${files.certFile} and the private key in ${files.keyFile} do not belong together; write both from the same issue`,
    );
  if (ca !== undefined)
    parsed(() => new X509Certificate(ca), files.clientCaFile ?? "", "certificates of authorities in PEM");
  parsed(
    () => createSecureContext({ cert, key, ...(ca === undefined ? {} : { ca }) }),
    files.certFile,
    "a chain in PEM",
  );
  return { cert, key, ca };
}

async function read(path: string, flag: string): Promise<Buffer> {
  try {
    return await readFile(path);
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new OperatorError(`${flag}: ${path} cannot be read: ${why}`, { cause: error });
  }
}

function parsed<T>(parse: () => T, path: string, what: string): T {
  try {
    return parse();
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new OperatorError(`${path} does not hold ${what}: ${why}`, { cause: error });
  }
}

function same(one: TlsMaterial, other: TlsMaterial): boolean {
  const equal = (a: Buffer | undefined, b: Buffer | undefined) =>
    a === b || (a !== undefined && b !== undefined && a.equals(b));
  return equal(one.cert, other.cert) && equal(one.key, other.key) && equal(one.ca, other.ca);
}

function facts({ cert }: TlsMaterial): Readonly<Record<string, string>> {
  const { subject, subjectAltName, serialNumber, validTo } = new X509Certificate(cert);
  return { subject: subject ?? "", names: subjectAltName ?? "", serial: serialNumber, valid_to: validTo };
}
