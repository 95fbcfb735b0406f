// Elastic's receiver of OTLP, which brings no types of its own: what the tests use of it.
declare module "@elastic/mockotlpserver" {
  interface Request {
    readonly transport: "grpc" | "http";
    readonly path: string;
    /** With HTTP. */
    readonly headers?: Readonly<Record<string, string>>;
  }

  /** Takes OTLP over gRPC and HTTP; the callbacks get each message as its transport decoded it. */
  export class MockOtlpServer {
    constructor(options: {
      services: readonly ("grpc" | "http")[];
      grpcHostname: string;
      grpcPort: number;
      httpHostname: string;
      httpPort: number;
      logLevel: string;
      onTrace(message: unknown): void;
      onMetrics(message: unknown): void;
      onRequest(request: Request): void;
    });
    readonly grpcUrl: URL;
    readonly httpUrl: URL;
    start(): Promise<void>;
    close(): Promise<void>;
  }

  /** One form for every transport: ids in hexadecimal, attributes as an object. */
  export function normalizeTrace(message: unknown): unknown;
  export function normalizeMetrics(message: unknown): unknown;
}
