/** Makes certificates for tests. */
import assert from "node:assert/strict";
import { mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { runTool } from "./repo/checks.ts";

const KEY = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];

/** Certificates of authorities that a test makes, in a folder of its own. */
export class Certificates {
  readonly folder = mkdtempSync(join(tmpdir(), "muster-tls-"));

  /** Path of a file in the folder. */
  file(name: string): string {
    return join(this.folder, name);
  }

  /** Makes an authority: `NAME.pem` and `NAME.key`. */
  async authority(name: string): Promise<void> {
    const files = ["-keyout", this.file(`${name}.key`), "-out", this.file(`${name}.pem`)];
    await openssl("req", "-x509", ...KEY, ...files, "-days", "2", "-subj", `/CN=${name}`);
  }

  /**
   * Makes a certificate: `NAME.pem` and `NAME.key`.
   *
   * @param options.altName `IP:127.0.0.1` by default.
   * @param options.days How long it is valid; 0 until the second it was made in.
   */
  async issue(
    name: string,
    options: { authority?: string; altName?: string; days?: number } = {},
  ): Promise<void> {
    const authority = options.authority ?? "ca";
    writeFileSync(this.file(`${name}.ext`), `subjectAltName=${options.altName ?? "IP:127.0.0.1"}\n`);
    const request = ["-keyout", this.file(`${name}.key`), "-out", this.file(`${name}.csr`)];
    await openssl("req", ...KEY, ...request, "-subj", `/CN=${name}`);
    await openssl(
      ...["x509", "-req", "-in", this.file(`${name}.csr`), "-CA", this.file(`${authority}.pem`)],
      ...["-CAkey", this.file(`${authority}.key`), "-CAcreateserial", "-days", String(options.days ?? 2)],
      ...["-extfile", this.file(`${name}.ext`), "-out", this.file(`${name}.pem`)],
    );
  }

  /** Puts `content` where `name` is in one step, as tools that renew certificates do. */
  replace(name: string, content: string | Buffer): void {
    writeFileSync(this.file(`${name}.new`), content);
    renameSync(this.file(`${name}.new`), this.file(name));
  }

  remove(): void {
    rmSync(this.folder, { recursive: true, force: true });
  }
}

async function openssl(...args: string[]): Promise<void> {
  const { code, stderr } = await runTool("openssl", args);
  assert.equal(code, 0, stderr);
}
