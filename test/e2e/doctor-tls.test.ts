import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { createDatabase, type TestDatabase } from "../support/database/postgres.ts";
import { killAll } from "../support/programs/program.ts";
import { runMuster } from "../support/programs/run-muster.ts";
import { startTestScheduler, type TestScheduler } from "../support/programs/scheduler.ts";
import { runTool } from "../support/repo/checks.ts";

describe("muster doctor and TLS", () => {
  let folder: string;
  let db: TestDatabase;
  const file = (name: string) => join(folder, name);

  before(async () => {
    folder = mkdtempSync(join(tmpdir(), "muster-tls-"));
    db = await createDatabase();
    for (const ca of ["ca", "other-ca"])
      await openssl(
        ...["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"],
        ...["-keyout", file(`${ca}.key`), "-out", file(`${ca}.pem`), "-days", "2", "-subj", `/CN=${ca}`],
      );
    await certificate("good", "IP:127.0.0.1", "2");
    await certificate("foreign", "DNS:elsewhere.example", "2");
    // Valid until the second it was made in.
    await certificate("expired", "IP:127.0.0.1", "0");
  });

  after(async () => {
    await killAll();
    await db.drop();
    rmSync(folder, { recursive: true, force: true });
  });

  async function openssl(...args: string[]): Promise<void> {
    const { code, stderr } = await runTool("openssl", args);
    assert.equal(code, 0, stderr);
  }

  async function certificate(name: string, altName: string, days: string): Promise<void> {
    writeFileSync(file(`${name}.ext`), `subjectAltName=${altName}\n`);
    await openssl(
      ...["req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"],
      ...["-keyout", file(`${name}.key`), "-out", file(`${name}.csr`), "-subj", `/CN=${name}`],
    );
    await openssl(
      ...["x509", "-req", "-in", file(`${name}.csr`), "-CA", file("ca.pem"), "-CAkey", file("ca.key")],
      ...["-CAcreateserial", "-days", days, "-extfile", file(`${name}.ext`), "-out", file(`${name}.pem`)],
    );
  }

  function scheduler(name: string | undefined): Promise<TestScheduler> {
    const tls =
      name === undefined ? [] : ["--tls-cert", file(`${name}.pem`), "--tls-key", file(`${name}.key`)];
    return startTestScheduler({ databaseUrl: db.url, args: tls });
  }

  /** What doctor says of the connection's TLS. */
  async function doctor(at: TestScheduler, ca: string | undefined) {
    const { code, stdout, stderr } = await runMuster(at.grpc, [
      ...["doctor", "--http", at.http.replace(/^https?:\/\//, ""), "--timeout", "3s"],
      ...(ca === undefined ? [] : ["--tls-ca", file(`${ca}.pem`)]),
    ]);
    return { code, text: stdout + stderr };
  }

  for (const [what, certificateName, ca, says, does] of [
    [
      "a client without TLS at a port with it",
      "good",
      undefined,
      /speaks TLS, and this connection does not/,
      /--tls-ca or MUSTER_TLS_CA/,
    ],
    [
      "a client with TLS at a port without it",
      undefined,
      "ca",
      /speaks no TLS, and this connection does/,
      /leave --tls-ca and MUSTER_TLS_CA .* out/,
    ],
    [
      "the wrong authority",
      "good",
      "other-ca",
      /certificate is not signed by the given authority/,
      /give the authority that signed it/,
    ],
    [
      "an expired certificate",
      "expired",
      "ca",
      /the scheduler's certificate has expired/,
      /renew it .* reads the files again by itself/,
    ],
    [
      "a certificate for another name",
      "foreign",
      "ca",
      /certificate is not valid for 127\.0\.0\.1: .*elsewhere\.example/,
      /one of the certificate.s names/,
    ],
  ] as const) {
    it(`names ${what}, and what to do`, async () => {
      const at = await scheduler(certificateName);
      const { code, text } = await doctor(at, ca);
      assert.notEqual(code, 0, text);
      assert.match(text, says);
      assert.match(text, does);
      await at.program.end();
    });
  }

  it("is content with the right one", async () => {
    const at = await scheduler("good");
    const { text } = await doctor(at, "ca");
    assert.doesNotMatch(text, /connection\.tls/, text);
    assert.match(text, /database\./);
    await at.program.end();
  });
});
