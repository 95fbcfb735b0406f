/** Finds out what listens at an address. */
import { get as getHttp } from "node:http";
import { get as getHttps } from "node:https";
import { connect as connectTcp, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import { splitAddress } from "@muster/common/addresses";
import { systemClock } from "../clock.ts";
import type { TlsMaterial } from "../options/connection-options.ts";

/** Timeout of a probe: servers send something, or answer a few bytes, within milliseconds. */
const ANSWER_MS = 1_500;

/** Longest part of an answer that is read. */
const MAX_BYTES = 16_384;

/** The first bytes of an HTTP/2 client: the preface and empty settings. */
const HTTP2_HELLO = Buffer.concat([
  Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
  Buffer.from([0, 0, 0, 4, 0, 0, 0, 0, 0]),
]);

/** PostgreSQL answers it with one letter, S or N. */
const POSTGRES_TLS_REQUEST = Buffer.from([0, 0, 0, 8, 4, 210, 22, 47]);

/** What was wrong with an address, and what to do. */
export interface WrongPeer {
  /** One sentence without a full stop, the address in it. */
  readonly what: string;
  readonly remedy: string;
}

const GIVE_ADDRESS =
  "give the scheduler's gRPC address (default port 7070) in MUSTER_SCHEDULER_ADDR or the option scheduler";

/**
 * Finds out what answers at an address whose peer did not speak HTTP/2 as a scheduler does; undefined when it may be
 * one. Makes up to three connections, for 1.5 s each at most, and never throws.
 */
export async function probePeer(
  address: string,
  tls: TlsMaterial | undefined,
): Promise<WrongPeer | undefined> {
  const [plain, postgres, secure] = await Promise.all([
    firstBytes(address, HTTP2_HELLO),
    firstBytes(address, POSTGRES_TLS_REQUEST),
    tlsAnswer(address, tls),
  ]);
  const speaksTls = secure !== undefined;
  if (speaksTls && tls === undefined) {
    return {
      what: `${address} speaks TLS, and this connection does not`,
      remedy:
        "name the certificate of the authority that signed the scheduler's: --tls-ca or MUSTER_TLS_CA, in code the option tls",
    };
  }
  const text = plain.toString("latin1");
  if (text.startsWith("HTTP/1") || secure === "http/1.1")
    return httpAddress(address, speaksTls ? tls : undefined);
  const named = nameOf(text, postgres.toString("latin1"));
  if (named !== undefined) return { what: `${address} is ${named}, not a scheduler`, remedy: GIVE_ADDRESS };
  if (tls !== undefined && !speaksTls && isHttp2(plain)) {
    return {
      what: `${address} speaks no TLS, and this connection does`,
      remedy:
        "leave --tls-ca and MUSTER_TLS_CA (in code the option tls) out, or give the scheduler a certificate (--tls-cert and --tls-key)",
    };
  }
  return undefined;
}

/** Checks whether an HTTP server is a scheduler's, and where that serves gRPC. */
async function httpAddress(address: string, tls: TlsMaterial | undefined): Promise<WrongPeer> {
  const body = await httpBody(`${tls === undefined ? "http" : "https"}://${address}/readyz`, tls);
  const grpc = grpcAddress(body, splitAddress(address).host);
  if (grpc !== undefined) {
    return {
      what: `${address} is the HTTP address; gRPC is at ${grpc}`,
      remedy: `give ${grpc} in MUSTER_SCHEDULER_ADDR or the option scheduler`,
    };
  }
  return { what: `${address} is an HTTP server, not a scheduler's gRPC address`, remedy: GIVE_ADDRESS };
}

/** The gRPC address in the answer of a scheduler's probe; an unspecified one is replaced by the probed host. */
function grpcAddress(body: string, host: string): string | undefined {
  let detail: unknown;
  try {
    detail = Object(Object(JSON.parse(body)).checks?.grpc).detail;
  } catch {
    // Not JSON: another HTTP server.
    return undefined;
  }
  const listens = typeof detail === "string" ? /listens on (\S+:\d+)/.exec(detail)?.[1] : undefined;
  if (listens === undefined) return undefined;
  const bound = splitAddress(listens);
  if (bound.host !== "0.0.0.0" && bound.host !== "::") return listens;
  return `${host.includes(":") ? `[${host}]` : host}:${bound.port}`;
}

function nameOf(plain: string, postgres: string): string | undefined {
  if (plain.startsWith("SSH-")) return "an SSH server";
  if (postgres === "S" || postgres === "N" || /^E.{0,8}S(?:FATAL|ERROR)/s.test(plain))
    return "a PostgreSQL server";
  if (/^-(?:ERR|NOAUTH|DENIED)/.test(plain) || /^-(?:ERR|NOAUTH|DENIED)/.test(postgres))
    return "a Redis server";
  if (/^.{3}\0\n[\d.]+.*\0/s.test(plain) || plain.includes("is not allowed to connect to this M"))
    return "a MySQL server";
  if (/^220[ -]/.test(plain)) return "a mail or FTP server";
  if (/^AMQP/.test(plain)) return "an AMQP server";
  return undefined;
}

/** A server's first frame is SETTINGS, type 4 on stream 0. */
function isHttp2(bytes: Buffer): boolean {
  return bytes.length >= 9 && bytes[3] === 4 && bytes.readUInt32BE(5) === 0;
}

/** What a peer sends by itself or in answer to `hello`; empty when it sends nothing in time. */
function firstBytes(address: string, hello: Buffer): Promise<Buffer> {
  return new Promise((resolve) => {
    const chunks: Buffer[] = [];
    const socket = connectTcp(splitAddress(address), () => socket.write(hello));
    const done = (): void => {
      cancel();
      socket.destroy();
      resolve(Buffer.concat(chunks).subarray(0, MAX_BYTES));
    };
    const cancel = systemClock.after(ANSWER_MS, done);
    socket.on("data", (chunk: Buffer) => {
      chunks.push(chunk);
      done();
    });
    endOf(socket, done);
  });
}

/** The negotiated protocol when the port speaks TLS ("" for an unknown one); undefined when it does not. */
function tlsAnswer(address: string, tls: TlsMaterial | undefined): Promise<string | undefined> {
  return new Promise((resolve) => {
    const { host, port } = splitAddress(address);
    const socket = connectTls({
      host,
      port,
      ALPNProtocols: ["h2", "http/1.1"],
      // Only the handshake is needed; nothing is sent.
      rejectUnauthorized: false,
      ...(/^[\d.]+$|:/.test(host) ? {} : { servername: host }),
      ...(tls?.cert === undefined || tls.key === undefined ? {} : { cert: tls.cert, key: tls.key }),
    });
    const done = (protocol: string | undefined): void => {
      cancel();
      socket.destroy();
      resolve(protocol);
    };
    const cancel = systemClock.after(ANSWER_MS, () => done(undefined));
    socket.on("secureConnect", () => done(socket.alpnProtocol || ""));
    // An alert is TLS too, for example one that wants a client's certificate.
    socket.on("error", (error) => done("code" in error && /ALERT/.test(String(error.code)) ? "" : undefined));
    socket.on("close", () => done(undefined));
  });
}

function httpBody(url: string, tls: TlsMaterial | undefined): Promise<string> {
  return new Promise((resolve) => {
    const options = tls === undefined ? {} : { ca: tls.ca, cert: tls.cert, key: tls.key };
    const request = (tls === undefined ? getHttp : getHttps)(
      url,
      { agent: false, ...options },
      (response) => {
        let body = "";
        response.setEncoding("utf8");
        response.on("data", (chunk: string) => {
          if (body.length < MAX_BYTES) body += chunk;
        });
        response.on("error", () => done(""));
        response.on("end", () => done(body));
      },
    );
    const done = (body: string): void => {
      cancel();
      request.destroy();
      resolve(body);
    };
    const cancel = systemClock.after(ANSWER_MS, () => done(""));
    request.on("error", () => done(""));
  });
}

function endOf(socket: Socket, done: () => void): void {
  socket.on("error", done);
  socket.on("close", done);
}
