/** A Docker engine of its own for a test file, with its data in a temporary folder. */
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, realpathSync, rmSync, symlinkSync } from "node:fs";
import { request } from "node:http";
import { tmpdir } from "node:os";
import { delimiter, dirname, join } from "node:path";
import { env, execPath, getuid, kill, pid } from "node:process";
import type { Readable } from "node:stream";
import { fileURLToPath } from "node:url";
import { cleanedUp, cleanUpLater } from "../clean-up.ts";
import { BUNDLES_VARIABLE } from "../programs/bundled.ts";
import { type FoundPrograms, findPrograms } from "../repo/debian.ts";
import { until } from "../waits.ts";

const ROOT = realpathSync(fileURLToPath(new URL("../../../", import.meta.url)));

/** The image of the tests: the folders of this machine are mounted into it. */
export const IMAGE = "muster-test/machine:1";

type Programs = FoundPrograms<"dockerd" | "containerd" | "runc" | "docker-init">;

/** The engine's programs, or why there are none. */
export function findEngine(): Programs | string {
  if (getuid?.() !== 0) return "a Docker engine of its own needs root";
  return findPrograms({
    package: "docker.io",
    libraries: /^(containerd|runc|tini|libdevmapper1\.02\.1.*|libseccomp2)$/,
    programs: ["dockerd", "containerd", "runc", "docker-init"],
  });
}

/** What this machine has that a worker needs: mounted as they are, read-only. */
export function machineVolumes(): string[] {
  const folders = ["/usr", ROOT, env[BUNDLES_VARIABLE] ?? ROOT, dirname(dirname(realpathSync(execPath)))];
  const readable = [...new Set(folders)].filter(
    (folder) =>
      !folders.some((other) => other !== folder && folder.startsWith(`${other}/`)) && folder !== tmpdir(),
  );
  return [...readable.map((folder) => `${folder}:${folder}:ro`), `${tmpdir()}:${tmpdir()}`].filter(
    (volume) => volume === `${tmpdir()}:${tmpdir()}` || !volume.startsWith(`${tmpdir()}/`),
  );
}

/** The answer of the engine's API. */
export interface EngineAnswer {
  readonly status: number;
  readonly body: string;
}

/** An engine. It can be ended and started again with the same data. */
export class TestEngine {
  readonly folder = mkdtempSync(join(tmpdir(), "muster-docker-"));
  readonly socket = join(this.folder, "docker.sock");
  readonly #programs: Programs;
  #process: ChildProcess | undefined;
  #log = "";

  private constructor(programs: Programs) {
    this.#programs = programs;
  }

  /** Starts one that has `IMAGE`. */
  static async start(programs: Programs): Promise<TestEngine> {
    const engine = new TestEngine(programs);
    cleanUpLater(engine, () => engine.stop());
    await engine.begin();
    await engine.import(IMAGE);
    return engine;
  }

  /** Value of `DOCKER_HOST`. */
  get host(): string {
    return `unix://${this.socket}`;
  }

  /** Starts the engine's program. */
  async begin(): Promise<void> {
    const { paths, env: libraries } = this.#programs;
    const folders = [...new Set(Object.values(paths).map((path) => dirname(path)))];
    const at = (name: string) => join(this.folder, name);
    this.#process = spawn(
      paths.dockerd,
      [
        ...[
          "--data-root",
          at("data"),
          "--exec-root",
          at("exec"),
          "--pidfile",
          at("pid"),
          "--host",
          this.host,
        ],
        // A namespace of its own: an engine of the machine may use the same containerd.
        ...[
          "--containerd-namespace",
          `muster-${pid}`,
          "--containerd-plugins-namespace",
          `muster-plugins-${pid}`,
        ],
        ...[
          "--iptables=false",
          "--ip-forward=false",
          "--ip-masq=false",
          "--bridge=none",
          "--userland-proxy=false",
        ],
        // Ends at once what a test has left running.
        ...["--shutdown-timeout", "1"],
      ],
      {
        env: {
          ...env,
          ...libraries,
          PATH: [...folders, env.PATH ?? ""].join(delimiter),
          DOCKER_HOST: undefined,
        },
        stdio: ["ignore", "pipe", "pipe"],
      },
    );
    for (const stream of [this.#process.stdout, this.#process.stderr])
      stream?.on("data", (chunk: Buffer) => {
        this.#log = `${this.#log}${chunk.toString()}`.slice(-100_000);
      });
    const started = this.#process;
    await until("the Docker engine answers", async () => {
      if (started.exitCode !== null) throw new Error(`dockerd ended with ${started.exitCode}:\n${this.#log}`);
      return (await this.call("GET", "/_ping").catch(() => undefined))?.status === 200 || undefined;
    });
  }

  /** Ends the engine's program; its data is kept. */
  async end(signal: "SIGTERM" | "SIGKILL" = "SIGTERM"): Promise<void> {
    const ended = this.#process;
    this.#process = undefined;
    if (!ended || ended.exitCode !== null || ended.signalCode !== null) return;
    await new Promise<void>((resolve) => {
      ended.once("exit", () => resolve());
      ended.kill(signal);
    });

    // containerd is a child of its own session; a killed dockerd leaves it.
    if (signal === "SIGKILL") await this.#endContainerd();
  }

  /** Ends it, and removes everything that it has made. */
  async stop(): Promise<void> {
    cleanedUp(this);
    await this.end();
    for (const line of readFileSync("/proc/self/mounts", "utf8").split("\n").reverse()) {
      const [, target = ""] = line.split(" ");
      if (target.startsWith(`${this.folder}/`)) execFileSync("umount", ["--lazy", target]);
    }
    rmSync(this.folder, { recursive: true, force: true });
  }

  /** Makes an image that has only the folders into which this machine's are mounted. */
  async import(name: string, changes: readonly string[] = []): Promise<void> {
    const folder = mkdtempSync(join(this.folder, "root-"));
    // The engine puts its init into /sbin, which for that is a folder of the image.
    for (const each of ["usr", "sbin", "etc", "tmp", "proc", "sys", "dev", "run"])
      mkdirSync(join(folder, each));
    for (const each of ["bin", "lib", "lib64"]) symlinkSync(`usr/${each}`, join(folder, each));
    const tar = spawn("tar", ["-C", folder, "-c", "."], { stdio: ["ignore", "pipe", "inherit"] });
    const [repo = "", tag = "latest"] = name.split(":");
    const query = new URLSearchParams({ fromSrc: "-", repo, tag });
    for (const change of ["ENV PATH=/usr/local/bin:/usr/bin", ...changes]) query.append("changes", change);
    const { status, body } = await this.call("POST", `/images/create?${query}`, tar.stdout);
    if (status !== 200 || body.includes('"error"')) throw new Error(`the image was not imported: ${body}`);
  }

  /** Calls the engine's API. */
  call(method: string, path: string, body?: Readable | object): Promise<EngineAnswer> {
    return new Promise((resolve, reject) => {
      const json = body && !("pipe" in body) ? JSON.stringify(body) : undefined;
      const headers = json === undefined ? {} : { "content-type": "application/json" };
      const sent = request({ socketPath: this.socket, method, path, headers }, (response) => {
        let text = "";
        response.setEncoding("utf8");
        response.on("data", (chunk: string) => {
          text += chunk;
        });
        response.once("end", () => resolve({ status: response.statusCode ?? 0, body: text }));
        response.once("error", reject);
      });
      sent.once("error", reject);
      if (body && "pipe" in body) (body as Readable).pipe(sent);
      else sent.end(json);
    });
  }

  /** The state of a container; undefined when there is none of this name. */
  async container(name: string): Promise<Readonly<Record<string, unknown>> | undefined> {
    const { status, body } = await this.call("GET", `/containers/${name}/json`);
    return status === 404 ? undefined : JSON.parse(body).State;
  }

  /** Names of the containers, also of those that have ended. */
  async containers(): Promise<string[]> {
    const { body } = await this.call("GET", "/containers/json?all=true");
    return JSON.parse(body).map(({ Names }: { Names: string[] }) => (Names[0] ?? "").slice(1));
  }

  async #endContainerd(): Promise<void> {
    const file = join(this.folder, "exec", "containerd", "containerd.pid");
    let containerd: number;
    try {
      containerd = Number(readFileSync(file, "utf8"));
    } catch {
      return;
    }
    try {
      kill(containerd, "SIGTERM");
    } catch {
      return;
    }
    await until("containerd has ended", () => {
      try {
        kill(containerd, 0);
        return undefined;
      } catch {
        return true;
      }
    });
  }
}
