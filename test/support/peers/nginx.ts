import { mkdtempSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ServerProgram } from "../programs/server-program.ts";
import { type FoundPrograms, findPrograms } from "../repo/debian.ts";
import { freePort } from "../telemetry/prometheus.ts";

/** Finds `nginx`, as `findPrograms` does; a text says why there is none, for the test's `skip`. */
export function findNginx(): FoundPrograms<"nginx"> | string {
  return findPrograms({ package: "nginx", programs: ["nginx"] });
}

/** An nginx before a scheduler. */
export interface Nginx {
  /** Its gRPC and HTTP addresses by the timeout that it was asked for, `host:port`. HTTP is served below `/muster/` too. */
  readonly addresses: readonly { readonly grpc: string; readonly http: string }[];
  stop(): Promise<void>;
}

/**
 * Starts nginx before a scheduler's gRPC and HTTP addresses, once for each timeout.
 *
 * @param timeouts In nginx's words, for example `10s`: of reading from, and sending to, both sides.
 */
export async function startNginx(
  program: FoundPrograms<"nginx">,
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
        location /muster/ { proxy_pass ${scheduler.http}/; proxy_http_version 1.1; proxy_buffering off; }
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
  const server = await ServerProgram.start({
    ...{ name: "nginx", program: program.paths.nginx, env: program.env, folder, signal: "SIGTERM" },
    args: ["-p", folder, "-c", join(folder, "nginx.conf"), "-e", "stderr"],
    isReady: async () => {
      const listens = await Promise.all(
        addresses.flatMap(({ grpc, http }) => [answers(grpc), answers(http)]),
      );
      return listens.every(Boolean);
    },
  });
  return { addresses, stop: () => server.stop() };
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
