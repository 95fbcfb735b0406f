import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { connect as connectTcp } from "node:net";
import { after, before, describe, it } from "node:test";
import { connect } from "node:tls";
import { Certificates } from "../support/certificates.ts";
import { createDatabase, type TestDatabase } from "../support/database/postgres.ts";
import { killAll, type Program } from "../support/programs/program.ts";
import { runMuster } from "../support/programs/run-muster.ts";
import { startTestScheduler, startTestWorker, type TestScheduler } from "../support/programs/scheduler.ts";

describe("T29: certificates", () => {
  const certificates = new Certificates();
  let db: TestDatabase;
  const file = (name: string) => certificates.file(name);

  before(async () => {
    db = await createDatabase();
    await Promise.all(["ca", "other"].map((name) => certificates.authority(name)));
    await certificates.issue("first");
    await certificates.issue("second");
    await certificates.issue("third");
    await certificates.issue("expired", { days: 0 });
    await certificates.issue("stranger", { authority: "other" });
    await certificates.issue("elsewhere", { altName: "DNS:elsewhere.example" });
  });

  after(async () => {
    await killAll();
    await db.drop();
    certificates.remove();
  });

  function use(name: string, as = "server"): void {
    for (const kind of ["key", "pem"])
      certificates.replace(`${as}.${kind}`, readFileSync(file(`${name}.${kind}`)));
  }

  function scheduler(name: string, args: readonly string[] = []): Promise<TestScheduler> {
    const tls = ["--tls-cert", file(`${name}.pem`), "--tls-key", file(`${name}.key`)];
    return startTestScheduler({ databaseUrl: db.url, args: [...tls, ...args] });
  }

  function worker(at: TestScheduler, id: string, env: Readonly<Record<string, string>>): Promise<Program> {
    return startTestWorker({
      scheduler: at.grpc,
      id,
      waitReady: false,
      env: { WORKER_REGISTER_TIMEOUT_S: "15", ...env },
    });
  }

  /** Common name of the certificate that an address shows. */
  function shown(address: string): Promise<string> {
    const [host = "", port] = address.replace(/^https?:\/\//, "").split(":");
    return new Promise((resolve, reject) => {
      const socket = connect({
        host,
        port: Number(port),
        ca: readFileSync(file("ca.pem")),
        ALPNProtocols: ["h2", "http/1.1"],
      });
      socket.once("error", reject);
      socket.once("secureConnect", () => {
        resolve(String(socket.getPeerCertificate().subject.CN));
        socket.destroy();
      });
    });
  }

  it("are read again by themselves and at SIGHUP, on both ports; a pair that does not fit keeps the old one", async () => {
    use("first");
    const at = await scheduler("server");
    const log = at.program;
    assert.deepEqual([await shown(at.grpc), await shown(at.http)], ["first", "first"]);
    // Half of a new pair.
    certificates.replace("server.pem", readFileSync(file("second.pem")));
    const kept = await log.line("tls.not_reloaded");
    assert.match(String(kept.problem), /do not belong together/);
    assert.deepEqual([await shown(at.grpc), await shown(at.http)], ["first", "first"]);
    certificates.replace("server.key", readFileSync(file("second.key")));
    await log.line("tls.reloaded", ({ subject }) => /second/.test(String(subject)));
    assert.deepEqual([await shown(at.grpc), await shown(at.http)], ["second", "second"]);
    certificates.replace("server.pem", "-----BEGIN CERTIFICATE-----\nhalf");
    await log.line("tls.not_reloaded", ({ problem }) =>
      /does not hold a certificate in PEM/.test(String(problem)),
    );
    use("third");
    log.kill("SIGHUP");
    await log.line("tls.reloaded", ({ subject }) => /third/.test(String(subject)));
    log.kill("SIGHUP");
    await log.line("tls.unchanged");
    assert.deepEqual([await shown(at.grpc), await shown(at.http)], ["third", "third"]);
    assert.equal((await log.end()).code, 0);
  });

  it("SIGHUP without TLS does nothing", async () => {
    const at = await startTestScheduler({ databaseUrl: db.url });
    at.program.kill("SIGHUP");
    await at.program.line("scheduler.signal", ({ signal }) => signal === "SIGHUP");
    assert.equal((await fetch(`${at.http}/livez`)).status, 200);
    assert.equal((await at.program.end()).code, 0);
  });

  it("a worker whose scheduler's certificate and authority were replaced returns by itself", async () => {
    use("first");
    certificates.replace("trusted.pem", readFileSync(file("ca.pem")));
    const at = await scheduler("server");
    const running = await worker(at, "renewed", { MUSTER_TLS_CA: file("trusted.pem") });
    await running.line("worker.startup.phase", ({ phase }) => phase === "ready");
    await certificates.issue("server-2", { authority: "other" });
    use("server-2");
    await at.program.line("tls.reloaded");
    const args = ["--tls-cert", file("server.pem"), "--tls-key", file("server.key")];
    await at.program.end();
    certificates.replace("trusted.pem", readFileSync(file("other.pem")));
    const again = await startTestScheduler({
      databaseUrl: db.url,
      args: [...args, "--grpc-addr", at.grpc],
    });
    await running.line("worker.reconnected");
    await running.end("SIGKILL");
    await again.program.end();
  });

  for (const [what, server, client, says, logged] of [
    ["an expired certificate", "expired", "ca", /has expired/, /gave the handshake up|expired/],
    ["an unknown authority", "first", "other", /not signed by an authority that is trusted/, /not trust/],
    ["another name", "elsewhere", "ca", /is not for this name/, /gave the handshake up|not trust|refused/],
  ] as const) {
    it(`${what} is named by worker and CLI, and logged by the scheduler`, async () => {
      const at = await scheduler(server);
      const dialling = await worker(at, `refused-${server}`, { MUSTER_TLS_CA: file(`${client}.pem`) });
      const failed = await dialling.line("worker.dial.failed");
      assert.match(String(failed.error), says);
      const { code, stderr } = await runMuster(at.grpc, [
        "tasks",
        "--tls-ca",
        file(`${client}.pem`),
        "--timeout",
        "3s",
      ]);
      assert.notEqual(code, 0);
      assert.match(stderr, says);
      const refused = await at.program.line("connection.refused");
      assert.match(String(refused.problem), logged);
      await dialling.end("SIGKILL");
      await at.program.end();
    });
  }

  it("plain text at a port with TLS is logged", async () => {
    const at = await scheduler("first");
    const [host = "", port] = at.grpc.split(":");
    connectTcp({ host, port: Number(port) }).end("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    const refused = await at.program.line("connection.refused");
    assert.match(String(refused.problem), /speaks plain text, and this port speaks TLS|speaks plain HTTP/);
    await at.program.end();
  });

  for (const [what, client, says] of [
    ["no certificate", undefined, /the client sent no certificate, and this scheduler asks for one/],
    ["an expired one", "expired", /the client's certificate has expired/],
    ["one of another authority", "stranger", /not signed by an authority that this scheduler trusts/],
  ] as const) {
    it(`a client with ${what} where one is required gets that error, and is logged`, async () => {
      const at = await scheduler("first", ["--tls-client-ca", file("ca.pem")]);
      const env: Record<string, string> = { MUSTER_TLS_CA: file("ca.pem") };
      if (client !== undefined) {
        env.MUSTER_TLS_CERT = file(`${client}.pem`);
        env.MUSTER_TLS_KEY = file(`${client}.key`);
      }
      const fromRejectedWorker = await worker(at, `mtls-${client ?? "none"}`, env);
      assert.equal((await fromRejectedWorker.ended).code, 1);
      assert.match(
        String(fromRejectedWorker.lines.find(({ event }) => event === "worker.fatal")?.exception_message),
        says,
      );
      const doctor = await runMuster(
        at.grpc,
        ["doctor", "--http", at.http.replace("http://", ""), "--timeout", "3s"],
        env,
      );
      assert.notEqual(doctor.code, 0);
      assert.match((doctor.stdout + doctor.stderr).replaceAll(/\s+/g, " "), says);
      const refused = await at.program.line("connection.refused");
      assert.match(String(refused.problem), says);
      await at.program.end();
    });
  }
});
