import { execFileSync, spawn } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { env } from "node:process";
import { cleanedUp, cleanUpLater } from "../clean-up.ts";
import { freePort } from "../telemetry/prometheus.ts";
import { until } from "../waits.ts";

/** Where Debian's package is unpacked; kept for the next run. */
const UNPACKED = join(tmpdir(), "muster-nginx");

/**
 * Finds `nginx` on the path. In CI (the variable `CI` is set) Debian's package is downloaded and unpacked into the
 * temporary folder instead of being skipped; nothing is installed.
 *
 * @returns The program under `program`, or under `missing` why there is none, for the test's `skip`.
 */
export function findNginx(): { readonly program: string } | { readonly missing: string } {
  const unpacked = join(UNPACKED, "usr", "sbin");
  const found = onPath([...(env.PATH ?? "").split(delimiter), "/usr/sbin", unpacked]);
  if (found !== undefined) return { program: found };
  if (!env.CI) return { missing: "nginx is not on the PATH (Debian: apt install nginx-light)" };
  unpack();
  const program = onPath([unpacked]);
  if (program === undefined) throw new Error("Debian's package nginx has no usr/sbin/nginx");
  return { program };
}

function onPath(folders: readonly string[]): string | undefined {
  return folders.map((folder) => join(folder, "nginx")).find((path) => existsSync(path));
}

/** @throws Error when apt cannot download it: CI must not pass without these tests. */
function unpack(): void {
  const folder = mkdtempSync(join(tmpdir(), "muster-nginx-"));
  const run = (command: string, ...args: string[]) =>
    execFileSync(command, args, { cwd: folder, stdio: ["ignore", "ignore", "pipe"] });
  try {
    try {
      run("apt-get", "download", "-q", "nginx");
    } catch {
      // A fresh image has no package lists.
      run("apt-get", "update", "-q");
      run("apt-get", "download", "-q", "nginx");
    }
    const [file = ""] = readdirSync(folder).filter((name) => name.endsWith(".deb"));
    mkdirSync(join(folder, "root"));
    run("dpkg-deb", "-x", file, "root");
    if (!existsSync(UNPACKED)) renameSync(join(folder, "root"), UNPACKED);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** An nginx before a scheduler. */
export interface Nginx {
  /** Its gRPC and HTTP addresses by the timeout that it was asked for, `host:port`. */
  readonly addresses: readonly { readonly grpc: string; readonly http: string }[];
  stop(): Promise<void>;
}

/**
 * Starts nginx before a scheduler's gRPC and HTTP addresses, once for each timeout.
 *
 * @param timeouts In nginx's words, for example `10s`: of reading from, and sending to, both sides.
 */
export async function startNginx(
  program: string,
  scheduler: { readonly grpc: string; readonly http: string },
  timeouts: readonly string[],
): Promise<Nginx> {
  const folder = mkdtempSync(join(tmpdir(), "muster-nginx-run-"));
  const addresses = await Promise.all(
    timeouts.map(async () => ({
      grpc: `127.0.0.1:${await freePort()}`,
      http: `127.0.0.1:${await freePort()}`,
    })),
  );
  const temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
  const servers = addresses.map(({ grpc, http }, n) => {
    const timeout = timeouts[n];
    return `
      server {
        listen ${grpc} http2; client_body_timeout ${timeout}; send_timeout ${timeout};
        location / { grpc_pass grpc://${scheduler.grpc}; grpc_read_timeout ${timeout}; grpc_send_timeout ${timeout}; }
      }
      server {
        listen ${http}; client_body_timeout ${timeout}; send_timeout ${timeout};
        location / {
          proxy_pass ${scheduler.http}; proxy_http_version 1.1; proxy_buffering off;
          proxy_read_timeout ${timeout}; proxy_send_timeout ${timeout};
        }
      }`;
  });
  writeFileSync(
    join(folder, "nginx.conf"),
    `daemon off; pid ${folder}/nginx.pid; error_log stderr notice; worker_processes 1;
    events {}
    http {
      access_log off;
      ${temporary.map((name) => `${name}_temp_path ${folder}/${name};`).join(" ")}
      ${servers.join("\n")}
    }`,
  );
  const child = spawn(program, ["-p", folder, "-c", join(folder, "nginx.conf"), "-e", "stderr"], {
    stdio: ["ignore", "ignore", "pipe"],
  });
  let said = "";
  child.stderr.on("data", (chunk: Buffer) => {
    said += chunk.toString();
  });
  const exited = new Promise<void>((resolve) => child.once("exit", () => resolve()));
  const stop = async () => {
    cleanedUp(child);
    child.kill("SIGTERM");
    await exited;
    rmSync(folder, { recursive: true, force: true });
  };
  cleanUpLater(child, stop);
  try {
    for (const address of addresses.flatMap(({ grpc, http }) => [grpc, http]))
      await until(
        "nginx listens",
        async () => ((await answers(address)) ? true : undefined),
        () => said,
      );
  } catch (error) {
    await stop();
    throw error;
  }
  return { addresses, stop };
}

function answers(address: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host: "127.0.0.1", port: Number(address.split(":").at(-1)) });
    socket.once("connect", () => resolve(true));
    socket.once("error", () => resolve(false));
    socket.once("close", () => resolve(false));
    socket.once("connect", () => socket.destroy());
  });
}
