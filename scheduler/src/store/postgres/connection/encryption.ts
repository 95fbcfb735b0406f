import { readFileSync } from "node:fs";
import { isIP } from "node:net";
import {
  type ConnectionOptions,
  checkServerIdentity,
  getCACertificates,
  type PeerCertificate,
} from "node:tls";
import { type DatabaseAddress, DatabaseUrlError, type EncryptionRequest } from "./database-url.ts";

/** TLS as the driver takes it; false for none. */
export type Encryption = ConnectionOptions | false;

/** Whether connections are encrypted, which `allow` and `prefer` leave to what the server says. */
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

  /** True when the other way is allowed and the error says that it is needed: connect once more then. */
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

/** @param name Of the server, when what is dialled is an address beside it. */
function tlsOptions(request: EncryptionRequest, name: string | undefined): ConnectionOptions {
  const { mode, rootCert, cert, key, keyPassword, revoked, minVersion, maxVersion } = request;
  if (mode === "disable") return {};
  const verified = rootCert !== undefined || mode === "verify-ca" || mode === "verify-full";
  const options: ConnectionOptions = {
    rejectUnauthorized: verified,
    ...(keyPassword === undefined ? {} : { passphrase: keyPassword }),
    ...(minVersion === undefined ? {} : { minVersion: minVersion as "TLSv1.2" }),
    ...(maxVersion === undefined ? {} : { maxVersion: maxVersion as "TLSv1.3" }),
    // The authority vouches for the server, whatever its name is.
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
        // Caught in the middle of being replaced: what was read last goes on, and the server judges it.
      }
      return known;
    },
  });
}
