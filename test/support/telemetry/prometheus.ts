import { spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { cleanedUp, cleanUpLater } from "../clean-up.ts";
import { findPrograms } from "../repo/debian.ts";
import { until } from "../waits.ts";

/** Programs of Prometheus on this machine. */
export interface PrometheusPrograms {
  readonly prometheus: string;
  readonly promtool: string;
}

/**
 * Finds `prometheus` and `promtool`, as `findPrograms` does.
 *
 * @returns The programs, or why there are none, for the test's `skip`.
 */
export function findPrometheus(): PrometheusPrograms | string {
  const found = findPrograms({ package: "prometheus", programs: ["prometheus", "promtool"] });
  return typeof found === "string" ? found : found.paths;
}

/** A running Prometheus server. */
export class Prometheus {
  /** Where others write to it. */
  readonly remoteWriteUrl: string;
  readonly #url: string;
  readonly #end: () => Promise<void>;

  private constructor(url: string, end: () => Promise<void>) {
    this.#url = url;
    this.remoteWriteUrl = `${url}/api/v1/write`;
    this.#end = end;
  }

  /**
   * Starts a server that scrapes every second.
   *
   * @param jobs `host:port` by the job's name.
   * @param rules Files with rules.
   */
  static async start(
    { prometheus }: PrometheusPrograms,
    jobs: Readonly<Record<string, string>>,
    rules: readonly string[],
  ): Promise<Prometheus> {
    const folder = mkdtempSync(join(tmpdir(), "muster-scraper-"));
    const config = {
      global: { scrape_interval: "1s", evaluation_interval: "1s" },
      rule_files: rules,
      scrape_configs: Object.entries(jobs).map(([job_name, target]) => ({
        job_name,
        static_configs: [{ targets: [target] }],
      })),
    };
    // JSON is YAML.
    writeFileSync(join(folder, "prometheus.yml"), JSON.stringify(config));
    const address = `127.0.0.1:${await freePort()}`;
    const child = spawn(
      prometheus,
      [
        `--config.file=${join(folder, "prometheus.yml")}`,
        `--storage.tsdb.path=${join(folder, "data")}`,
        `--web.listen-address=${address}`,
        "--web.enable-remote-write-receiver",
        "--log.level=warn",
      ],
      { stdio: ["ignore", "ignore", "pipe"] },
    );
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
    const server = new Prometheus(`http://${address}`, end);
    try {
      await until(
        "Prometheus is ready",
        async () => {
          if (child.exitCode !== null) throw new Error(`Prometheus exited with ${child.exitCode}: ${said}`);
          const response = await fetch(`http://${address}/-/ready`).catch(() => undefined);
          return response?.ok ? true : undefined;
        },
        () => said,
      );
    } catch (error) {
      await end();
      throw error;
    }
    return server;
  }

  /** The answer's `data`. @throws Error with what Prometheus has against the request. */
  async api(path: string, query: Readonly<Record<string, string>> = {}): Promise<unknown> {
    const response = await fetch(`${this.#url}/api/v1/${path}?${new URLSearchParams(query)}`);
    const body = Object(await response.json());
    if (body.status !== "success") throw new Error(`${path} ${JSON.stringify(query)}: ${body.error}`);
    return body.data;
  }

  /** Series that an expression gives now. */
  async query(expression: string): Promise<readonly { labels: Record<string, string>; value: number }[]> {
    const data = Object(await this.api("query", { query: expression }));
    return data.result.map(
      ({ metric, value }: { metric: Record<string, string>; value: [number, string] }) => ({
        labels: metric,
        value: Number(value[1]),
      }),
    );
  }

  /** Ends the server and removes its data. */
  stop(): Promise<void> {
    return this.#end();
  }
}

/** A port without a listener. */
export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const address = server.address();
      server.close(() => resolve(typeof address === "object" && address ? address.port : 0));
    });
  });
}
