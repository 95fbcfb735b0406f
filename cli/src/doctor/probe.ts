/** Probes the addresses of a scheduler for `muster doctor`. */
import { lookup } from "node:dns/promises";
import { get as getHttp } from "node:http";
import { get as getHttps } from "node:https";
import { connect as connectTcp } from "node:net";
import { connect as connectTls } from "node:tls";
import { CheckStatus } from "@muster/protocol";
import type { Pem } from "../config.ts";
import type { Finding } from "./checks.ts";

/** Timeout of each step; a healthy machine answers within milliseconds. */
const TRY_MS = 3_000;

/** Maximum length of a probe's answer that is read. */
const MAX_BODY = 16_384;

/** An address that gave no diagnosis. */
export interface Target {
  readonly host: string;
  readonly port: number;
  /** PEM certificates to trust; undefined when TLS was not asked for. */
  readonly tls: Pem | undefined;
  /** Address of the probes, `host:port`. */
  readonly http: string;
}

/** Checks the connection to a scheduler step by step: name, port, TLS, HTTP probes. */
export async function probe(target: Target): Promise<Finding[]> {
  const resolved = await resolve(target);
  if (resolved.status === CheckStatus.FAILED) return [resolved];
  const [port, http] = await Promise.all([openPort(target), probeHttp(target)]);
  if (port.status === CheckStatus.FAILED) return [resolved, port, http];
  return [resolved, port, await handshake(target), http];
}

async function resolve({ host }: Target): Promise<Finding> {
  const name = "connection.address";
  try {
    const found = await lookup(host, { all: true });
    return {
      name,
      status: CheckStatus.OK,
      summary: `${host} is ${found.map(({ address }) => address).join(", ")}`,
    };
  } catch (error) {
    return {
      name,
      status: CheckStatus.FAILED,
      summary: `${host} cannot be resolved: ${messageOf(error)}`,
      remedy: "check the name; give the address with --scheduler HOST:PORT or MUSTER_SCHEDULER_ADDR",
    };
  }
}

async function openPort({ host, port }: Target): Promise<Finding> {
  const name = "connection.port";
  const error = await dial((done) => {
    const socket = connectTcp({ host, port, timeout: TRY_MS }, () => done(undefined));
    return socket;
  });
  if (error === undefined)
    return { name, status: CheckStatus.OK, summary: `port ${port} of ${host} is open` };
  return {
    name,
    status: CheckStatus.FAILED,
    summary: `port ${port} of ${host} cannot be reached: ${error.message}`,
    remedy: /ECONNREFUSED/.test(error.message)
      ? "nothing listens there: start the scheduler (`muster serve`, `muster dev`), or give its address with --scheduler"
      : "check the network and the firewall between this machine and the scheduler",
  };
}

/** Whether the port uses TLS, and whether the handshake succeeds. */
async function handshake({ host, port, tls }: Target): Promise<Finding> {
  const name = "connection.tls";
  const servername = /^[\d.]+$|:/.test(host) ? {} : { servername: host };
  const error = await dial((done) => {
    const options = tls ? { ca: tls.ca, cert: tls.cert, key: tls.key } : { rejectUnauthorized: false };
    const socket = connectTls(
      { host, port, timeout: TRY_MS, ALPNProtocols: ["h2"], ...servername, ...options },
      () => done(undefined),
    );
    return socket;
  });
  if (tls) {
    if (error === undefined)
      return {
        name,
        status: CheckStatus.OK,
        summary: "the TLS handshake succeeded, and the certificate is trusted",
      };
    return { name, status: CheckStatus.FAILED, ...whyNoTls(error, host) };
  }
  if (error !== undefined)
    return {
      name,
      status: CheckStatus.OK,
      summary: "the port does not use TLS, and this command does not either",
    };
  return {
    name,
    status: CheckStatus.FAILED,
    summary: "the port uses TLS, and this command does not",
    remedy: "give the authority that signed the scheduler's certificate with --tls-ca or MUSTER_TLS_CA",
  };
}

/** Cause and remedy of a failed handshake, by the codes of OpenSSL and Node. */
function whyNoTls(error: Failure, host: string): { summary: string; remedy: string } {
  const { code, message } = error;
  if (code === "CERT_HAS_EXPIRED") {
    return {
      summary: `the scheduler's certificate has expired (${message})`,
      remedy:
        "renew it (--tls-cert and --tls-key of the scheduler); the scheduler reads the files again by itself",
    };
  }
  if (code === "CERT_NOT_YET_VALID") {
    return {
      summary: `the scheduler's certificate is not valid yet (${message})`,
      remedy: "check the clocks of this machine and of the machine that issued the certificate",
    };
  }
  if (code === "ERR_TLS_CERT_ALTNAME_INVALID") {
    return {
      summary: `the scheduler's certificate is not valid for ${host}: its names are ${error.names || "empty"}`,
      remedy: `give --scheduler one of the certificate's names, or issue a certificate for ${host}`,
    };
  }
  if (UNTRUSTED.has(code)) {
    return {
      summary: `the scheduler's certificate is not signed by the given authority (${message})`,
      remedy:
        "give the authority that signed it with --tls-ca or MUSTER_TLS_CA; or check that this is the scheduler that you mean",
    };
  }
  if (NO_TLS.test(`${code} ${message}`)) {
    return {
      summary: "the port does not use TLS, and this command does",
      remedy:
        "remove --tls-ca and MUSTER_TLS_CA, or give the scheduler a certificate (--tls-cert and --tls-key)",
    };
  }
  return {
    summary: `the TLS handshake failed: ${message}`,
    remedy:
      "give the authority that signed the scheduler's certificate with --tls-ca; remove it when the scheduler does not use TLS",
  };
}

const UNTRUSTED: ReadonlySet<string> = new Set([
  "DEPTH_ZERO_SELF_SIGNED_CERT",
  "SELF_SIGNED_CERT_IN_CHAIN",
  "UNABLE_TO_GET_ISSUER_CERT",
  "UNABLE_TO_GET_ISSUER_CERT_LOCALLY",
  "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
  "CERT_SIGNATURE_FAILURE",
]);

/** Errors of a handshake with a server that does not use TLS. */
const NO_TLS =
  /WRONG_VERSION_NUMBER|PACKET_LENGTH_TOO_LONG|wrong version number|packet length too long|ECONNRESET|before secure TLS/i;

async function probeHttp({ http, tls }: Target): Promise<Finding> {
  const name = "connection.http";
  const base = `${tls ? "https" : "http"}://${http}`;
  const [live, ready] = await Promise.all([answerOf(`${base}/livez`, tls), answerOf(`${base}/readyz`, tls)]);
  const summary = `${base}/livez ${live.text}; /readyz ${ready.text}`;
  if (live.ok && ready.ok) return { name, status: CheckStatus.OK, summary };
  return {
    name,
    status: CheckStatus.WARNING,
    summary,
    remedy:
      "if the scheduler's HTTP address is another, give it with --http HOST:PORT; the response body names the failed check",
  };
}

function answerOf(url: string, tls: Target["tls"]): Promise<{ ok: boolean; text: string }> {
  const get = tls ? getHttps : getHttp;
  return new Promise((resolve) => {
    const request = get(
      url,
      { timeout: TRY_MS, ...(tls ? { ca: tls.ca, cert: tls.cert, key: tls.key } : {}) },
      (response) => {
        let body = "";
        response.setEncoding("utf8");
        response.on("data", (chunk: string) => {
          if (body.length < MAX_BODY) body += chunk;
        });
        response.on("error", (error) => resolve({ ok: false, text: messageOf(error) }));
        response.on("end", () => {
          const ok = response.statusCode === 200;
          resolve({ ok, text: `answers ${response.statusCode}${ok ? "" : ` (${wrongIn(body)})`}` });
        });
      },
    );
    request.on("timeout", () => request.destroy(new Error(`no answer within ${TRY_MS / 1000} s`)));
    request.on("error", (error) => resolve({ ok: false, text: `does not answer: ${messageOf(error)}` }));
  });
}

/** The failed checks in the body of a probe. */
function wrongIn(body: string): string {
  try {
    const report: unknown = JSON.parse(body);
    const checks: [string, unknown][] = Object.entries(Object(Object(report).checks));
    const wrong = checks.filter(([, check]) => Object(check).ok === false);
    return (
      wrong.map(([name, check]) => `${name}: ${Object(check).detail}`).join("; ") || body.slice(0, 200).trim()
    );
  } catch (error) {
    if (error instanceof SyntaxError) return body.slice(0, 200).trim();
    throw error;
  }
}

interface Dialled {
  on(event: "error", listener: (error: Error) => void): unknown;
  on(event: "timeout", listener: () => void): unknown;
  destroy(): unknown;
}

/** Why a connection failed. */
interface Failure {
  readonly message: string;
  /** Code of Node or OpenSSL; empty when there is none. */
  readonly code: string;
  /** Names of the certificate, when they do not match. */
  readonly names?: string;
}

/** Undefined when the connection succeeded. */
function dial(start: (done: (error: Failure | undefined) => void) => Dialled): Promise<Failure | undefined> {
  return new Promise((resolve) => {
    const done = (error: Failure | undefined): void => {
      socket.destroy();
      resolve(error);
    };
    const socket = start(done);
    socket.on("error", (error) =>
      done({
        message: messageOf(error),
        code: "code" in error ? String(error.code) : "",
        // Node's message omits names of another kind than the dialled one.
        names: "cert" in error ? String(Object(error.cert).subjectaltname ?? "") : "",
      }),
    );
    socket.on("timeout", () => done({ message: `no answer within ${TRY_MS / 1000} s`, code: "" }));
  });
}

function messageOf(error: unknown): string {
  if (error instanceof AggregateError) return error.errors.map(messageOf).join("; ");
  return error instanceof Error ? error.message : String(error);
}
