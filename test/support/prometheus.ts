import { execFileSync, spawn } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { env } from "node:process";
import { within } from "./fleet.ts";

/** Programs of Prometheus on this machine. */
export interface PrometheusPrograms {
  readonly prometheus: string;
  readonly promtool: string;
}

/** Where Debian's package is unpacked; kept for the next run. */
const UNPACKED = join(tmpdir(), "muster-prometheus");

/**
 * Finds `prometheus` and `promtool` on the path. In CI (the variable `CI` is set) Debian's package is
 * downloaded and unpacked into the temporary folder instead of being skipped; nothing is installed.
 *
 * @returns The programs, or why there are none, for the test's `skip`.
 */
export function findPrometheus(): PrometheusPrograms | string {
  const found = onPath([...(env.PATH ?? "").split(delimiter), join(UNPACKED, "usr", "bin")]);
  if (found) return found;
  if (!env.CI) return "prometheus and promtool are not on the PATH (Debian: apt install prometheus)";
  unpack();
  const unpacked = onPath([join(UNPACKED, "usr", "bin")]);
  if (!unpacked) throw new Error(`Debian's package prometheus has no usr/bin/prometheus and promtool`);
  return unpacked;
}

function onPath(folders: readonly string[]): PrometheusPrograms | undefined {
  const find = (name: string) => folders.map((folder) => join(folder, name)).find((path) => existsSync(path));
  const prometheus = find("prometheus");
  const promtool = find("promtool");
  return prometheus && promtool ? { prometheus, promtool } : undefined;
}

/** @throws Error when apt cannot download it: CI must not pass without these tests. */
function unpack(): void {
  const folder = mkdtempSync(join(tmpdir(), "muster-prometheus-"));
  const run = (command: string, ...args: string[]) =>
    execFileSync(command, args, { cwd: folder, stdio: ["ignore", "ignore", "pipe"] });
  try {
    try {
      run("apt-get", "download", "-q", "prometheus");
    } catch {
      // A fresh image has no package lists.
      run("apt-get", "update", "-q");
      run("apt-get", "download", "-q", "prometheus");
    }
    const [file = ""] = readdirSync(folder).filter((name) => name.endsWith(".deb"));
    mkdirSync(join(folder, "root"));
    run("dpkg-deb", "-x", file, "root");
    if (!existsSync(UNPACKED)) renameSync(join(folder, "root"), UNPACKED);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
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
      child.kill("SIGKILL");
      await exited;
      rmSync(folder, { recursive: true, force: true });
    };
    const server = new Prometheus(`http://${address}`, end);
    try {
      await within(
        "Prometheus is ready",
        15_000,
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

/** A port that nobody listens on. */
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
