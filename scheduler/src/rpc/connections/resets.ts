/** Keeps resets of peers from ending the process. */
import type { Server, Socket } from "node:net";

/**
 * Keeps a peer's reset from ending the process. Node's HTTP server and grpc-js remove their own listeners from a socket
 * that they let go of (a tunnel that is refused, a session that was closed), and an `error` without a listener is an
 * uncaught exception. What a reset means for a call its own stream says.
 */
export function outliveResets(server: Server): void {
  const listen = (socket: Socket) => socket.on("error", () => undefined);
  server.on("connection", listen);
  server.on("secureConnection", listen);
}
