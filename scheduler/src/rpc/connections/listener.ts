/** Listens for gRPC connections. */
import { type AddressInfo, createServer, type Server as NetServer, type Socket } from "node:net";
import { createServer as createTlsServer, type TLSSocket, type Server as TlsServer } from "node:tls";
import { type Server, ServerCredentials } from "@grpc/grpc-js";
import type { Address } from "../../config/config.ts";
import type { Descriptors } from "../../descriptors.ts";
import { listenError, Refusal } from "../../domain/errors.ts";
import { ConnectionRejector } from "./connection-rejector.ts";
import { certificateProblem, handshakeProblem, type RejectedConnections } from "./handshakes.ts";
import { outliveResets } from "./resets.ts";
import type { TlsFiles } from "./tls-files.ts";

/** Time for a TLS handshake: a client that takes longer holds a descriptor without use. */
const HANDSHAKE_MS = 10_000;

/** What admits connections. */
export interface ListenerParts {
  /** Undefined: plain text. */
  readonly tls: TlsFiles | undefined;
  readonly descriptors: Descriptors;
  readonly rejected: RejectedConnections;
}

/** A listening port of a gRPC server. */
export interface Listener {
  readonly port: number;
  /** Takes no new connections; those there are go on. */
  close(): void;
}

/**
 * Listens for a gRPC server. The port is our own, so that connections are refused with a reason instead of reset:
 * for a certificate that is not accepted, or because descriptors run out.
 *
 * @throws Error when the address cannot be listened on; the message names it.
 */
export async function listenForGrpc(
  server: Server,
  address: Address,
  parts: ListenerParts,
): Promise<Listener> {
  const { tls, descriptors, rejected } = parts;
  const injector = server.createConnectionInjector(ServerCredentials.createInsecure());
  const rejector = new ConnectionRejector();
  const admit = (socket: Socket): void => {
    const refusal = noRoom(descriptors);
    if (refusal) {
      rejected.report("grpc", peerOf(socket), refusal.message);
      rejector.reject(socket, refusal);
      return;
    }
    socket.once("close", descriptors.opened());
    injector.injectConnection(socket);
  };
  const port = tls ? secured(tls, parts, rejector, admit) : createServer({ noDelay: true }, admit);
  outliveResets(port);
  port.on("connection", (socket: Socket) => {
    if (descriptors.exhausted) socket.destroy();
  });
  await listening(port, address);
  return { port: (port.address() as AddressInfo).port, close: () => port.close() };
}

function secured(
  tls: TlsFiles,
  { rejected }: ListenerParts,
  rejector: ConnectionRejector,
  admit: (socket: Socket) => void,
): TlsServer {
  const asksForCertificate = tls.current.ca !== undefined;
  const server = createTlsServer({
    ...contextOf(tls),
    ALPNProtocols: ["h2"],
    requestCert: asksForCertificate,
    // Refused after the handshake, where the client can get the reason.
    rejectUnauthorized: false,
    handshakeTimeout: HANDSHAKE_MS,
    noDelay: true,
  });
  tls.onChange(() => server.setSecureContext(contextOf(tls)));
  server.on("tlsClientError", (error, socket) => {
    rejected.report("grpc", peerOf(socket), handshakeProblem(error));
    socket.destroy();
  });
  server.on("secureConnection", (socket: TLSSocket) => {
    const problem = asksForCertificate ? certificateProblem(socket) : undefined;
    if (problem === undefined) return admit(socket);
    rejected.report("grpc", peerOf(socket), problem);
    rejector.reject(socket, new Refusal("unauthenticated", "INVALID_CERTIFICATE", problem));
  });
  return server;
}

/** What Node's TLS takes of the files. */
export function contextOf({ current: { cert, key, ca } }: TlsFiles) {
  return { cert, key, ...(ca === undefined ? {} : { ca }) };
}

/** `address:port`; parts that are no longer known are replaced. */
export function peerOf({ remoteAddress, remotePort }: Socket): string {
  return `${remoteAddress ?? "unknown"}:${remotePort ?? 0}`;
}

function noRoom(descriptors: Descriptors): Refusal | undefined {
  if (descriptors.room > 0) return undefined;
  const { used, limit } = descriptors.use;
  return new Refusal(
    "exhausted",
    "TOO_MANY_CONNECTIONS",
    `this scheduler has no file descriptor left for another connection (${used} of ${limit} are in use, the rest is reserved); ` +
      "raise its limit (ulimit -n, LimitNOFILE=), or connect to another scheduler",
    { retryDelayMs: 5_000 },
  );
}

/** @throws Error that names the address. */
async function listening(server: NetServer, { host, port }: Address): Promise<void> {
  const shown = host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
  await new Promise<void>((resolve, reject) => {
    server.once("error", (error) => {
      reject(listenError(shown, "gRPC", "--grpc-addr", error));
    });
    server.listen(port, host, resolve);
  });
}
