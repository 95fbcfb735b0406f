/** Reads which signals OpenTelemetry exports. */
import { readSampling, type Sampling } from "./spans/sampling.ts";

/** What leaves this process by OpenTelemetry, and how often. */
export interface Exports {
  /** False when `OTEL_SDK_DISABLED` switches everything off, `/metrics` included. */
  readonly enabled: boolean;
  /** How traces that begin here are sampled; undefined when none are exported. */
  readonly traces: Sampling | undefined;
  readonly metrics: OtlpMetrics | undefined;
}

/** How metrics are pushed. */
export interface OtlpMetrics {
  readonly protocol: (typeof PROTOCOLS)[number];
  readonly intervalMs: number;
  readonly timeoutMs: number;
}

/** Transports of OTLP, as the specification names them. */
const PROTOCOLS = ["http/protobuf", "http/json", "grpc"] as const;

type Env = Readonly<Record<string, string | undefined>>;

/**
 * Reads the standard variables. Their specification exports to localhost when nothing is set; a scheduler
 * exports nothing until an endpoint or an exporter is named.
 *
 * @param faults Gets what is wrong.
 */
export function readExports(env: Env, faults: string[]): Exports {
  const enabled = env.OTEL_SDK_DISABLED?.toLowerCase() !== "true";
  const asked = (signal: "TRACES" | "METRICS") => {
    const exporters = list(env[`OTEL_${signal}_EXPORTER`]);
    if (exporters.length > 0) return exporters;
    const endpoint = env[`OTEL_EXPORTER_OTLP_${signal}_ENDPOINT`] || env.OTEL_EXPORTER_OTLP_ENDPOINT;
    return endpoint ? ["otlp"] : [];
  };
  const pushed = asked("METRICS").filter((name) => name !== "none" && name !== "prometheus");
  for (const name of pushed) {
    if (name !== "otlp")
      faults.push(
        `OTEL_METRICS_EXPORTER: "${name}" is not one of otlp, prometheus, none; /metrics is served in any case`,
      );
  }
  return {
    enabled,
    traces:
      enabled && !asked("TRACES").every((name) => name === "none") ? readSampling(env, faults) : undefined,
    metrics: enabled && pushed.includes("otlp") ? otlpMetrics(env, faults) : undefined,
  };
}

function otlpMetrics(env: Env, faults: string[]): OtlpMetrics {
  const variable = env.OTEL_EXPORTER_OTLP_METRICS_PROTOCOL
    ? "OTEL_EXPORTER_OTLP_METRICS_PROTOCOL"
    : "OTEL_EXPORTER_OTLP_PROTOCOL";
  const given = env[variable]?.trim() || "http/protobuf";
  const protocol = PROTOCOLS.find((name) => name === given);
  if (!protocol) faults.push(`${variable}: "${given}" is not one of ${PROTOCOLS.join(", ")}`);
  const intervalMs = millis(env, "OTEL_METRIC_EXPORT_INTERVAL", 60_000, faults);
  const timeoutMs = millis(env, "OTEL_METRIC_EXPORT_TIMEOUT", 30_000, faults);
  // The reader refuses a timeout that outlasts its interval.
  return { protocol: protocol ?? "http/protobuf", intervalMs, timeoutMs: Math.min(timeoutMs, intervalMs) };
}

function millis(env: Env, name: string, fallback: number, faults: string[]): number {
  const given = env[name]?.trim();
  if (!given) return fallback;
  const value = Number(given);
  if (Number.isInteger(value) && value > 0 && value < 2 ** 31) return value;
  faults.push(`${name}: "${given}" is not a whole number of milliseconds from 1 to ${2 ** 31 - 1}`);
  return fallback;
}

function list(value: string | undefined): string[] {
  return (value ?? "")
    .split(",")
    .map((name) => name.trim().toLowerCase())
    .filter((name) => name !== "");
}
