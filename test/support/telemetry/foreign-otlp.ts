/** Receives telemetry by a library that is not OpenTelemetry's own. */
import { MockOtlpServer, normalizeMetrics, normalizeTrace } from "@elastic/mockotlpserver";
import { cleanedUp, cleanUpLater } from "../clean-up.ts";
import { until } from "../waits.ts";
import { exportTo, millis, type Protocol, type ReceivedSpan, shown } from "./otlp.ts";

/** How often metrics are pushed; the standard's minute is too long for a test. */
const PUSH_MS = 250;

/** The latest of a series. Histograms have their count as the value. */
export interface Point {
  readonly service: string;
  readonly name: string;
  readonly kind: "gauge" | "sum" | "histogram";
  readonly labels: Readonly<Record<string, unknown>>;
  readonly value: number;
}

/** An OTLP receiver of another maker, with its own decoders: Elastic's mockotlpserver. One at a time in a process. */
export class ForeignReceiver {
  readonly spans: ReceivedSpan[] = [];
  /** What was asked of it: transport, path and media type. */
  readonly requests = new Set<string>();
  readonly #points = new Map<string, Point>();
  readonly #server: MockOtlpServer;

  private constructor() {
    const host = "127.0.0.1";
    this.#server = new MockOtlpServer({
      services: ["grpc", "http"],
      ...{ grpcHostname: host, grpcPort: 0, httpHostname: host, httpPort: 0, logLevel: "error" },
      onTrace: (message) => this.spans.push(...spansOf(normalizeTrace(message))),
      onMetrics: (message) => {
        for (const point of pointsOf(normalizeMetrics(message)))
          this.#points.set(JSON.stringify([point.service, point.name, point.labels]), point);
      },
      onRequest: ({ transport, path, headers }) =>
        this.requests.add([transport, path, headers?.["content-type"] ?? ""].join(" ").trim()),
    });
  }

  static async start(): Promise<ForeignReceiver> {
    const receiver = new ForeignReceiver();
    await receiver.#server.start();
    cleanUpLater(receiver, () => receiver.stop());
    return receiver;
  }

  /** Variables of a process that exports here, soon. */
  env(serviceName: string, protocol: Protocol): Record<string, string> {
    const { grpcUrl, httpUrl } = this.#server;
    return {
      ...exportTo(protocol === "grpc" ? grpcUrl.origin : httpUrl.origin, serviceName, protocol),
      OTEL_METRIC_EXPORT_INTERVAL: String(PUSH_MS),
    };
  }

  /** Waits until there is a span that fits. */
  async span(what: string, fits: (span: ReceivedSpan) => boolean): Promise<ReceivedSpan> {
    const there = () => `; there are\n${this.spans.map(shown).join("\n")}`;
    return until(`span ${what}`, () => this.spans.find(fits), there);
  }

  /** The points of a service's metric. */
  points(service: string, name?: string): Point[] {
    return [...this.#points.values()].filter(
      (point) => point.service === service && (name === undefined || point.name === name),
    );
  }

  /** Waits until the metric's values with these labels sum up to `least` or more. */
  async value(
    service: string,
    name: string,
    labels: Readonly<Record<string, string>>,
    least = 1,
  ): Promise<number> {
    const sum = () =>
      this.points(service, name)
        .filter((point) => Object.entries(labels).every(([key, value]) => point.labels[key] === value))
        .reduce((total, { value }) => total + value, 0);
    return until(
      `${name} of ${service} reaches ${least}`,
      () => (sum() >= least ? sum() : undefined),
      () => `; there are ${JSON.stringify(this.points(service, name))}`,
    );
  }

  stop(): Promise<void> {
    cleanedUp(this);
    return this.#server.close();
  }
}

interface Resource {
  readonly resource: { readonly attributes: Readonly<Record<string, string>> };
}

interface Traces {
  readonly resourceSpans: readonly (Resource & {
    readonly scopeSpans: readonly { readonly spans: readonly NormalSpan[] }[];
  })[];
}

interface NormalSpan {
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId?: string;
  readonly name: string;
  readonly kind: string;
  readonly startTimeUnixNano: string;
  readonly endTimeUnixNano: string;
  readonly attributes?: Readonly<Record<string, unknown>>;
  readonly events?: readonly {
    readonly name: string;
    readonly attributes?: Readonly<Record<string, unknown>>;
  }[];
  readonly links?: readonly {
    readonly traceId: string;
    readonly spanId: string;
    readonly attributes?: Readonly<Record<string, unknown>>;
  }[];
  readonly status?: { readonly code?: string; readonly message?: string };
}

function spansOf(message: unknown): ReceivedSpan[] {
  return (message as Traces).resourceSpans.flatMap(({ resource, scopeSpans }) =>
    scopeSpans.flatMap(({ spans }) =>
      spans.map((span) => ({
        service: resource.attributes["service.name"] ?? "",
        resource: resource.attributes,
        schemaUrl: "",
        resourceSchemaUrl: "",
        traceId: span.traceId,
        spanId: span.spanId,
        parentSpanId: span.parentSpanId ?? "",
        name: span.name,
        kind: span.kind.replace("SPAN_KIND_", ""),
        startMs: millis(span.startTimeUnixNano),
        endMs: millis(span.endTimeUnixNano),
        attributes: texts(span.attributes),
        events: (span.events ?? []).map(({ name, attributes }) => ({ name, attributes: texts(attributes) })),
        links: (span.links ?? []).map(({ traceId, spanId, attributes }) => ({
          traceId,
          spanId,
          kind: String(attributes?.["muster.link"] ?? ""),
        })),
        failed: span.status?.code === "STATUS_CODE_ERROR",
        message: span.status?.message ?? "",
      })),
    ),
  );
}

interface Metrics {
  readonly resourceMetrics: readonly (Resource & {
    readonly scopeMetrics: readonly { readonly metrics: readonly NormalMetric[] }[];
  })[];
}

type NormalMetric = { readonly name: string } & {
  readonly [kind in Point["kind"]]?: {
    readonly dataPoints: readonly {
      readonly attributes?: Readonly<Record<string, unknown>>;
      readonly asInt?: unknown;
      readonly asDouble?: unknown;
      readonly count?: unknown;
    }[];
  };
};

function pointsOf(message: unknown): Point[] {
  return (message as Metrics).resourceMetrics.flatMap(({ resource, scopeMetrics }) =>
    scopeMetrics.flatMap(({ metrics }) =>
      metrics.flatMap((metric) =>
        (["gauge", "sum", "histogram"] as const).flatMap((kind) =>
          (metric[kind]?.dataPoints ?? []).map(({ attributes, asInt, asDouble, count }) => ({
            service: resource.attributes["service.name"] ?? "",
            name: metric.name,
            kind,
            labels: attributes ?? {},
            value: number(asDouble ?? asInt ?? count),
          })),
        ),
      ),
    ),
  );
}

/** Over gRPC a 64-bit number comes in two halves, in JSON as a text. */
function number(value: unknown): number {
  if (typeof value !== "object" || value === null) return Number(value);
  const { low, high } = value as { low: number; high: number };
  return high * 2 ** 32 + (low >>> 0);
}

function texts(attributes: Readonly<Record<string, unknown>> = {}): Record<string, string> {
  return Object.fromEntries(Object.entries(attributes).map(([key, value]) => [key, String(value)]));
}
