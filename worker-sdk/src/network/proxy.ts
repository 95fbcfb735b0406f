import { hostname, networkInterfaces } from "node:os";
import { isLoopback, splitAddress } from "@muster/common/addresses";
import type { Environment } from "../options/connection-options.ts";

/** A proxy that a variable names. */
export interface Proxy {
  /** `http_proxy` and its like. */
  readonly variable: string;
  /** Its address, without a password. */
  readonly url: string;
}

/** The variables that gRPC reads, the first that is set wins. */
const VARIABLES = ["grpc_proxy", "https_proxy", "http_proxy"] as const;

/** True for an address that no proxy may stand before: it is on this machine. */
export function goesDirect(address: string): boolean {
  return isThisMachine(splitAddress(address).host);
}

/** Loopback, this machine's name, or an address of one of its interfaces. */
function isThisMachine(host: string): boolean {
  if (isLoopback(host)) return true;
  const name = host.toLowerCase();
  if (name === hostname().toLowerCase()) return true;
  return Object.values(networkInterfaces()).some((each) => each?.some(({ address }) => address === name));
}

/** The proxy that a variable of the environment puts before an address; undefined for none. */
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
