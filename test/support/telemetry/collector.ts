import { execFileSync, spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { cleanedUp, cleanUpLater } from "../clean-up.ts";
import { ROOT } from "../repo/checks.ts";
import { until } from "../waits.ts";
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
  readonly #end: () => Promise<void>;

  private constructor(url: string, end: () => Promise<void>) {
    this.url = url;
    this.#end = end;
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
    const child = spawn(program, ["--config", CONFIG, "--config", join(folder, "changes.yaml")], {
      stdio: ["ignore", "ignore", "pipe"],
    });
    let said = "";
    child.stderr.on("data", (chunk: Buffer) => {
      said += chunk.toString();
    });
    const exited = new Promise<void>((resolve) => child.once("exit", () => resolve()));
    const end = async () => {
      cleanedUp(child);
      child.kill("SIGKILL");
      await exited;
      rmSync(folder, { recursive: true, force: true });
    };
    cleanUpLater(child, end);
    try {
      await until(
        "the collector is ready",
        () => {
          if (child.exitCode !== null)
            throw new Error(`the collector exited with ${child.exitCode}: ${said}`);
          return said.includes("Everything is ready") ? true : undefined;
        },
        () => said,
      );
    } catch (error) {
      await end();
      throw error;
    }
    return new Collector(`http://127.0.0.1:${http}`, end);
  }

  /** Ends it and removes its configuration. */
  stop(): Promise<void> {
    return this.#end();
  }
}
