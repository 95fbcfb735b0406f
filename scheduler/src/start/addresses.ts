// Addresses as text, for logs, messages and other schedulers.
import { hostname } from "node:os";
import type { Address } from "../config/config.ts";

/** `host:port`; an IPv6 address in brackets. */
export function shown({ host, port }: Address): string {
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}

/** The address under which other hosts reach a listener: one on every address is reached by the host's name. */
export function reachable(address: Address): Address {
  return address.host === "0.0.0.0" || address.host === "::" ? { ...address, host: hostname() } : address;
}
