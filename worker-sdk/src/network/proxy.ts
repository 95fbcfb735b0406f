/** Proxies from the environment. */
import { hostname, networkInterfaces } from "node:os";
import { isLoopback, splitAddress } from "@muster/common/addresses";
import type { Environment } from "../options/connection-options.ts";

/** A proxy from the environment. */
export interface Proxy {
  /** Name of the variable, for example `http_proxy`. */
  readonly variable: string;
  /** Its address, without a password. */
  readonly url: string;
}

/** The variables that gRPC reads; the first that is set wins. */
const VARIABLES = ["grpc_proxy", "https_proxy", "http_proxy"] as const;

/** True for an address on this machine, which a proxy cannot reach. */
export function goesDirect(address: string): boolean {
  return isThisMachine(splitAddress(address).host);
}

/** True for loopback, the name of this machine, and the addresses of its interfaces. */
function isThisMachine(host: string): boolean {
  if (isLoopback(host)) return true;
  const name = host.toLowerCase();
  if (name === hostname().toLowerCase()) return true;
  return Object.values(networkInterfaces()).some((each) => each?.some(({ address }) => address === name));
}

/** The proxy that the environment sets for an address; undefined without one. */
export function proxyFor(address: string, env: Environment): Proxy | undefined {
  const { host } = splitAddress(address);
  if (isThisMachine(host)) return undefined;
  const excepted = (env.no_grpc_proxy || env.no_proxy || "").split(",").map((each) => each.trim());
  if (excepted.some((each) => each !== "" && host.endsWith(each))) return undefined;
  for (const variable of VARIABLES) {
    const value = env[variable];
    if (value) return { variable, url: withoutPassword(value) };
  }
  return undefined;
}

function withoutPassword(value: string): string {
  return value.replace(/\/\/[^/@]*@/, "//").slice(0, 200);
}
