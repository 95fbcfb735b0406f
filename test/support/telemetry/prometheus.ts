import { mkdtempSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ServerProgram } from "../programs/server-program.ts";
import { findPrograms } from "../repo/debian.ts";

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
  readonly #server: ServerProgram;

  private constructor(url: string, server: ServerProgram) {
    this.#url = url;
    this.remoteWriteUrl = `${url}/api/v1/write`;
    this.#server = server;
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
    const server = await ServerProgram.start({
      ...{ name: "Prometheus", program: prometheus, folder, signal: "SIGKILL" },
      args: [
        `--config.file=${join(folder, "prometheus.yml")}`,
        `--storage.tsdb.path=${join(folder, "data")}`,
        `--web.listen-address=${address}`,
        "--web.enable-remote-write-receiver",
        "--log.level=warn",
      ],
      isReady: () =>
        fetch(`http://${address}/-/ready`).then(
          ({ ok }) => ok,
          () => false,
        ),
    });
    return new Prometheus(`http://${address}`, server);
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
    return this.#server.stop();
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
