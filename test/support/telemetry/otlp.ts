/** Receives spans, metrics and logs by OTLP. */
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { fileURLToPath } from "node:url";
import { gunzipSync } from "node:zlib";
import { loadPackageDefinition, Server, ServerCredentials, type ServiceDefinition } from "@grpc/grpc-js";
import { loadSync } from "@grpc/proto-loader";
import { cleanedUp, cleanUpLater } from "../clean-up.ts";
import { until } from "../waits.ts";

/** A span as it arrived, flattened. Times are milliseconds since the epoch. */
export interface ReceivedSpan {
  readonly service: string;
  readonly traceId: string;
  readonly spanId: string;
  /** Empty for a root. */
  readonly parentSpanId: string;
  /** Attributes of the process that sent it. */
  readonly resource: Readonly<Record<string, string>>;
  /** Of its scope. */
  readonly schemaUrl: string;
  readonly resourceSchemaUrl: string;
  readonly name: string;
  /** Without its prefix, for example `CONSUMER`. */
  readonly kind: string;
  readonly startMs: number;
  readonly endMs: number;
  readonly attributes: Readonly<Record<string, string>>;
  readonly events: readonly {
    readonly name: string;
    readonly attributes: Readonly<Record<string, string>>;
  }[];
  readonly links: readonly { readonly traceId: string; readonly spanId: string; readonly kind: string }[];
  readonly failed: boolean;
  readonly message: string;
}

/** Environment of a process that exports. */
export type Protocol = "grpc" | "http/protobuf" | "http/json";

/** What an export of metrics says of its process. */
export interface ReceivedMetrics {
  readonly resource: Readonly<Record<string, string>>;
  readonly resourceSchemaUrl: string;
  readonly scopes: readonly { readonly schemaUrl: string; readonly names: readonly string[] }[];
}

const PROTOS = fileURLToPath(new URL("../../../third_party/opentelemetry-proto", import.meta.url));
const definitions = loadSync(
  ["trace", "metrics"].map((signal) => `opentelemetry/proto/collector/${signal}/v1/${signal}_service.proto`),
  { includeDirs: [PROTOS], longs: String, enums: String, bytes: String, defaults: true },
);
const TRACES = "opentelemetry.proto.collector.trace.v1.TraceService";
const METRICS = "opentelemetry.proto.collector.metrics.v1.MetricsService";

/** Takes OTLP in over gRPC and HTTP, decoded with the messages of its authors. */
export class OtlpReceiver {
  readonly spans: ReceivedSpan[] = [];
  readonly metrics: ReceivedMetrics[] = [];
  /** Exports of traces, by the protocol that brought them. */
  readonly exports: Record<"grpc" | "http", number> = { grpc: 0, http: 0 };
  readonly #ports: { grpc: number; http: number };
  readonly #close: () => Promise<void>;

  private constructor(
    ports: { grpc: number; http: number },
    close: () => Promise<void>,
    onExport: (take: Take) => void,
  ) {
    this.#ports = ports;
    this.#close = close;
    onExport({
      spans: (request, by) => {
        this.exports[by]++;
        this.spans.push(...flatten(request));
      },
      metrics: (request) => this.metrics.push(...flattenMetrics(request)),
    });
  }

  static async start(): Promise<OtlpReceiver> {
    let take: Take = { spans: () => undefined, metrics: () => undefined };
    const grpc = new Server();
    grpc.addService(service(TRACES), {
      Export: (call: { request: unknown }, answer: (error: null, response: object) => void) => {
        take.spans(call.request, "grpc");
        answer(null, {});
      },
    });
    grpc.addService(service(METRICS), {
      Export: (call: { request: unknown }, answer: (error: null, response: object) => void) => {
        take.metrics(call.request);
        answer(null, {});
      },
    });
    const grpcPort = await new Promise<number>((resolve, reject) => {
      grpc.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, port) =>
        error ? reject(error) : resolve(port),
      );
    });
    const http = createServer((request, response) => {
      const chunks: Buffer[] = [];
      request.on("data", (chunk: Buffer) => chunks.push(chunk));
      request.on("end", () => {
        const body = Buffer.concat(chunks);
        const plain = request.headers["content-encoding"] === "gzip" ? gunzipSync(body) : body;
        const json = request.headers["content-type"]?.startsWith("application/json") === true;
        const isTraces = request.url === "/v1/traces";
        const decode = method(isTraces ? TRACES : METRICS).requestDeserialize;
        const message: unknown = json ? JSON.parse(plain.toString()) : decode(plain);
        if (isTraces) take.spans(message, "http");
        else take.metrics(message);
        response.writeHead(200, { "content-type": json ? "application/json" : "application/x-protobuf" });
        response.end(json ? "{}" : "");
      });
    });
    await new Promise<void>((resolve) => http.listen(0, "127.0.0.1", resolve));
    const ports = { grpc: grpcPort, http: (http.address() as AddressInfo).port };
    const close = async (): Promise<void> => {
      grpc.forceShutdown();
      http.closeAllConnections();
      await new Promise<void>((resolve) => http.close(() => resolve()));
    };
    const receiver = new OtlpReceiver(ports, close, (taker) => {
      take = taker;
    });
    cleanUpLater(receiver, close);
    return receiver;
  }

  /** Variables of a process that exports here, soon after each span. */
  env(serviceName: string, protocol: Protocol = "http/protobuf"): Record<string, string> {
    const port = protocol === "grpc" ? this.#ports.grpc : this.#ports.http;
    return exportTo(`http://127.0.0.1:${port}`, serviceName, protocol);
  }

  /** Waits until there is an export of metrics that fits. */
  async measured(what: string, fits: (metrics: ReceivedMetrics) => boolean): Promise<ReceivedMetrics> {
    return until(`metrics ${what}`, () => this.metrics.find(fits));
  }

  /** Waits until there is a span that fits. */
  async span(what: string, fits: (span: ReceivedSpan) => boolean): Promise<ReceivedSpan> {
    return until(
      `span ${what}`,
      () => this.spans.find(fits),
      () => `; there are\n${this.spans.map(shown).join("\n")}`,
    );
  }

  /** Waits until the attempt's span, which is written last, is there. */
  attempt(attemptId: string): Promise<ReceivedSpan> {
    return this.span(
      `attempt ${attemptId}`,
      ({ name, attributes }) => name.startsWith("attempt ") && attributes["muster.attempt.id"] === attemptId,
    );
  }

  /** The spans of a trace so far, by their start. */
  trace(traceId: string): ReceivedSpan[] {
    return this.spans
      .filter((span) => span.traceId === traceId)
      .sort((a, b) => a.startMs - b.startMs || b.endMs - a.endMs);
  }

  stop(): Promise<void> {
    cleanedUp(this);
    return this.#close();
  }
}

/** Variables of a process that exports to `endpoint`, soon after each span. */
export function exportTo(endpoint: string, serviceName: string, protocol: Protocol): Record<string, string> {
  return {
    OTEL_SERVICE_NAME: serviceName,
    OTEL_EXPORTER_OTLP_ENDPOINT: endpoint,
    OTEL_EXPORTER_OTLP_PROTOCOL: protocol,
    OTEL_BSP_SCHEDULE_DELAY: "50",
  };
}

/** One line of a span, for the message of a failed test. */
export function shown(span: ReceivedSpan): string {
  const { service, name, spanId, parentSpanId, startMs, endMs, failed } = span;
  return `${span.traceId.slice(0, 6)} ${spanId} < ${parentSpanId || "root"} ${service}: ${name} ${(endMs - startMs).toFixed(1)} ms${failed ? ` FAILED ${span.message}` : ""}`;
}

/** Takes what was exported. */
interface Take {
  readonly spans: (request: unknown, by: "grpc" | "http") => void;
  readonly metrics: (request: unknown) => void;
}

interface AnyValue {
  readonly stringValue?: string;
  readonly intValue?: string | number;
  readonly doubleValue?: number;
  readonly boolValue?: boolean;
}

type Attributes = readonly { readonly key: string; readonly value: AnyValue }[];

interface ExportRequest {
  readonly resourceSpans: readonly {
    readonly resource?: { readonly attributes: Attributes };
    readonly schemaUrl?: string;
    readonly scopeSpans: readonly { readonly schemaUrl?: string; readonly spans: readonly WireSpan[] }[];
  }[];
}

interface MetricsRequest {
  readonly resourceMetrics: readonly {
    readonly resource?: { readonly attributes: Attributes };
    readonly schemaUrl?: string;
    readonly scopeMetrics: readonly {
      readonly schemaUrl?: string;
      readonly metrics: readonly { readonly name: string }[];
    }[];
  }[];
}

interface WireSpan {
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId: string;
  readonly name: string;
  readonly kind: string | number;
  readonly startTimeUnixNano: string;
  readonly endTimeUnixNano: string;
  readonly attributes?: Attributes;
  readonly events?: readonly { readonly name: string; readonly attributes?: Attributes }[];
  readonly links?: readonly {
    readonly traceId: string;
    readonly spanId: string;
    readonly attributes?: Attributes;
  }[];
  readonly status?: { readonly code?: string | number; readonly message?: string };
}

const KINDS = ["UNSPECIFIED", "INTERNAL", "SERVER", "CLIENT", "PRODUCER", "CONSUMER"];

function flatten(request: unknown): ReceivedSpan[] {
  return (request as ExportRequest).resourceSpans.flatMap(
    ({ resource, schemaUrl: resourceSchemaUrl = "", scopeSpans }) => {
      const about = textOf(resource?.attributes);
      const service = about["service.name"] ?? "";
      return scopeSpans.flatMap(({ spans, schemaUrl = "" }) =>
        spans.map((span) => ({
          service,
          resource: about,
          schemaUrl,
          resourceSchemaUrl,
          traceId: hex(span.traceId),
          spanId: hex(span.spanId),
          parentSpanId: hex(span.parentSpanId ?? ""),
          name: span.name,
          kind:
            typeof span.kind === "number" ? (KINDS[span.kind] ?? "") : span.kind.replace("SPAN_KIND_", ""),
          startMs: millis(span.startTimeUnixNano),
          endMs: millis(span.endTimeUnixNano),
          attributes: textOf(span.attributes),
          events: (span.events ?? []).map(({ name, attributes }) => ({
            name,
            attributes: textOf(attributes),
          })),
          links: (span.links ?? []).map((link) => ({
            traceId: hex(link.traceId),
            spanId: hex(link.spanId),
            kind: textOf(link.attributes)["muster.link"] ?? "",
          })),
          failed: span.status?.code === "STATUS_CODE_ERROR" || span.status?.code === 2,
          message: span.status?.message ?? "",
        })),
      );
    },
  );
}

function flattenMetrics(request: unknown): ReceivedMetrics[] {
  return (request as MetricsRequest).resourceMetrics.map(({ resource, schemaUrl = "", scopeMetrics }) => ({
    resource: textOf(resource?.attributes),
    resourceSchemaUrl: schemaUrl,
    scopes: scopeMetrics.map(({ schemaUrl: own = "", metrics }) => ({
      schemaUrl: own,
      names: metrics.map(({ name }) => name),
    })),
  }));
}

/** OTLP's JSON has ids in hexadecimal; what was protobuf has base64 here. */
function hex(id: string): string {
  return /^([0-9a-f]{16}|[0-9a-f]{32})?$/.test(id) ? id : Buffer.from(id, "base64").toString("hex");
}

/** Milliseconds of a time in nanoseconds, to the microsecond. */
export function millis(nanos: string): number {
  return Number(BigInt(nanos) / 1_000n) / 1_000;
}

function textOf(attributes: Attributes = []): Record<string, string> {
  return Object.fromEntries(
    attributes.map(({ key, value }) => [
      key,
      String(value.stringValue || (value.intValue ?? value.doubleValue ?? value.boolValue ?? "")),
    ]),
  );
}

function method(name: string) {
  const found = (definitions[name] as ServiceDefinition | undefined)?.Export;
  if (!found) throw new Error(`the protos define no ${name}.Export`);
  return found;
}

function service(name: string): ServiceDefinition {
  // Checked with the rest by grpc-js.
  loadPackageDefinition(definitions);
  return definitions[name] as ServiceDefinition;
}
