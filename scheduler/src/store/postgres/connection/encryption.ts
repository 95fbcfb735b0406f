/** TLS options of the connection to PostgreSQL. */
import { readFileSync } from "node:fs";
import { isIP } from "node:net";
import {
  type ConnectionOptions,
  checkServerIdentity,
  getCACertificates,
  type PeerCertificate,
} from "node:tls";
import { type DatabaseAddress, DatabaseUrlError, type EncryptionRequest } from "./url/database-url.ts";

/** The driver's TLS options; false for none. */
export type Encryption = ConnectionOptions | false;

/** Whether connections are encrypted; with `allow` and `prefer` the server's answer decides. */
export class Transport {
  readonly #request: EncryptionRequest;
  readonly #tls: ConnectionOptions;
  #encrypted: boolean;

  /** @throws DatabaseUrlError when a file cannot be read. */
  constructor({
    encryption,
    host,
    hostAddress,
  }: Pick<DatabaseAddress, "encryption" | "host" | "hostAddress">) {
    const local = host?.startsWith("/") === true;
    this.#request = local ? { ...encryption, mode: "disable" } : encryption;
    this.#tls = tlsOptions(this.#request, hostAddress === undefined ? undefined : host);
    this.#encrypted = !["disable", "allow"].includes(this.#request.mode);
  }

  /** For the next connection. */
  get encryption(): Encryption {
    return this.#encrypted ? this.#tls : false;
  }

  /** True when the error asks for the other choice and the mode allows it: the caller connects once more. */
  changes(error: unknown): boolean {
    if (!(error instanceof Error)) return false;
    const other = this.#encrypted
      ? this.#request.mode === "prefer" &&
        /does not support SSL connections|pg_hba\.conf.* SSL encryption/.test(error.message)
      : this.#request.mode === "allow" && /no encryption|SSL off|SSL required/i.test(error.message);
    if (other) this.#encrypted = !this.#encrypted;
    return other;
  }
}

/** @param name The server's name, when an address is dialled instead of it. */
function tlsOptions(request: EncryptionRequest, name: string | undefined): ConnectionOptions {
  const { mode, rootCert, cert, key, keyPassword, revoked, minVersion, maxVersion } = request;
  if (mode === "disable") return {};
  const verified = rootCert !== undefined || mode === "verify-ca" || mode === "verify-full";
  const options: ConnectionOptions = {
    rejectUnauthorized: verified,
    ...(keyPassword === undefined ? {} : { passphrase: keyPassword }),
    ...(minVersion === undefined ? {} : { minVersion: minVersion as "TLSv1.2" }),
    ...(maxVersion === undefined ? {} : { maxVersion: maxVersion as "TLSv1.3" }),
    // The certificate is checked, the name in it is not.
    ...(mode === "verify-full" ? {} : { checkServerIdentity: () => undefined }),
    ...(name !== undefined && mode === "verify-full"
      ? {
          checkServerIdentity: (_dialled: string, shown: PeerCertificate) => checkServerIdentity(name, shown),
        }
      : {}),
    ...(name !== undefined && isIP(name) === 0 ? { servername: name } : {}),
  };
  if (rootCert === "system") options.ca = getCACertificates("system");
  else readAgain(options, "ca", "sslrootcert", rootCert);
  readAgain(options, "cert", "sslcert", cert);
  readAgain(options, "key", "sslkey", key);
  readAgain(options, "crl", "sslcrl", revoked);
  return options;
}

/** Files are read again for each connection, since certificates are replaced while a scheduler runs. */
function readAgain(
  options: ConnectionOptions,
  name: "ca" | "cert" | "key" | "crl",
  parameter: string,
  file: string | undefined,
): void {
  if (file === undefined) return;
  let known = "";
  const read = () => {
    known = readFileSync(file, "utf8");
  };
  try {
    read();
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new DatabaseUrlError([`the file of ${parameter} cannot be read: ${why}`]);
  }
  Object.defineProperty(options, name, {
    enumerable: true,
    configurable: true,
    get: () => {
      try {
        read();
      } catch {
        // The file is being replaced: the one read last is used again, and the server decides on it.
      }
      return known;
    },
  });
}
