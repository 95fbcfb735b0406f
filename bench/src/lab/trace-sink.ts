import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import type { Cleanup } from "./cleanup.ts";

/** Takes spans as an OpenTelemetry collector would, and throws them away. */
export interface TraceSink {
  /** Value for `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT`. */
  readonly url: string;
  /** Exports so far. */
  exports(): number;
  close(): Promise<void>;
}

/** Starts a sink for OTLP over HTTP on a free port. */
export async function startTraceSink(cleanup: Cleanup): Promise<TraceSink> {
  let exports = 0;
  const server = createServer((request, response) => {
    request.resume();
    request.once("end", () => {
      exports += 1;
      response.writeHead(200, { "content-type": "application/x-protobuf" }).end();
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const close = cleanup.add("trace sink", async () => {
    server.closeAllConnections();
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  return { url: `http://127.0.0.1:${port}/v1/traces`, exports: () => exports, close };
}
