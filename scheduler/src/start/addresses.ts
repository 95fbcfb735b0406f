// Addresses as text, for logs, messages and other schedulers.
import { hostname } from "node:os";
import { isLoopback } from "@muster/common/addresses";
import type { Address } from "../config/config.ts";

/** `host:port`; an IPv6 address in brackets. */
export function shown({ host, port }: Address): string {
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}

/** True when other machines may reach a listener. */
export function isOpen({ host }: Address): boolean {
  return host === "0.0.0.0" || host === "::" || !isLoopback(host);
}

/** The address under which other hosts reach a listener: one on every address is reached by the host's name. */
export function reachable(address: Address): Address {
  return address.host === "0.0.0.0" || address.host === "::" ? { ...address, host: hostname() } : address;
}
