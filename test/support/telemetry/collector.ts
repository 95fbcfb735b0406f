/** An OpenTelemetry collector with the configuration that users start with. */
import { execFileSync } from "node:child_process";
import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ServerProgram } from "../programs/server-program.ts";
import { ROOT } from "../repo/checks.ts";
import { freePort } from "./prometheus.ts";

/** What users start with. */
const CONFIG = join(ROOT, "deploy", "otel-collector", "config.yaml");

/** Spans of a trace are kept together for this long before it is decided whether they go on. */
const DECISION_WAIT = "1s";

/** Refuses what the collector does not understand. @throws Error with what it says. */
export function validateConfiguration(program: string): void {
  execFileSync(program, ["validate", "--config", CONFIG], { stdio: ["ignore", "pipe", "pipe"] });
}

/** A collector that runs the configuration of `deploy`, with other addresses and less patience. */
export class Collector {
  /** Where programs push to, `http://host:port`. */
  readonly url: string;
  readonly #server: ServerProgram;

  private constructor(url: string, server: ServerProgram) {
    this.url = url;
    this.#server = server;
  }

  /**
   * @param peers.scrape `host:port` that it scrapes.
   * @param peers.traces `host:port` that it sends traces to, by gRPC.
   * @param peers.remoteWrite URL that it writes metrics to.
   */
  static async start(
    program: string,
    peers: { readonly scrape: string; readonly traces: string; readonly remoteWrite: string },
  ): Promise<Collector> {
    const folder = mkdtempSync(join(tmpdir(), "muster-collector-"));
    const [grpc, http] = [await freePort(), await freePort()];
    const changes = {
      receivers: {
        otlp: {
          protocols: {
            grpc: { endpoint: `127.0.0.1:${grpc}` },
            http: { endpoint: `127.0.0.1:${http}` },
          },
        },
        prometheus: {
          config: {
            scrape_configs: [
              {
                job_name: "muster-scheduler",
                scrape_interval: "1s",
                static_configs: [{ targets: [peers.scrape] }],
              },
            ],
          },
        },
      },
      processors: { tail_sampling: { decision_wait: DECISION_WAIT } },
      exporters: {
        "otlp/traces": { endpoint: peers.traces },
        prometheusremotewrite: { endpoint: peers.remoteWrite },
      },
      // Its own metrics have a fixed port.
      service: { telemetry: { metrics: { level: "none" } } },
    };
    // JSON is YAML.
    writeFileSync(join(folder, "changes.yaml"), JSON.stringify(changes));
    const server = await ServerProgram.start({
      ...{ name: "the collector", program, folder, signal: "SIGKILL" },
      args: ["--config", CONFIG, "--config", join(folder, "changes.yaml")],
      isReady: ({ errors }) => errors.includes("Everything is ready"),
    });
    return new Collector(`http://127.0.0.1:${http}`, server);
  }

  /** Ends it and removes its configuration. */
  stop(): Promise<void> {
    return this.#server.stop();
  }
}
