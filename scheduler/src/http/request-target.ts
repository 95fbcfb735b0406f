/** Parses the target of a request. */
import type { IncomingMessage } from "node:http";
import { quoted } from "@muster/common/text/text";

/** Target of a request: a path, or its fault. */
export type Target = { readonly path: string } | { readonly fault: string };

/** An IP address or a name, and a port. */
const AUTHORITY = /^(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._~%!$&'()*+,;=-]+)(?::\d{1,5})?$/;

/**
 * Reads the request line and `Host`. Any text may stand in both, and neither is taken for a URL before it is known to
 * be a part of one. Old probes and proxies (HTTP/1.0) send no host, which is their right.
 */
export function readTarget({ url = "", headers: { host = "" } }: IncomingMessage): Target {
  const [path = ""] = url.split("?", 1);
  if (!path.startsWith("/") || path.startsWith("//")) {
    return { fault: `the request's target ${quoted(url)} is not a path; send a path such as /readyz` };
  }
  if (host !== "" && !isAuthority(host)) {
    return { fault: `the header Host: ${quoted(host)} is not HOST or HOST:PORT` };
  }
  return { path };
}

/** True when the request names its host, which a call must. */
export function namesHost({ headers: { host = "" } }: IncomingMessage): boolean {
  return host !== "";
}

function isAuthority(host: string): boolean {
  return AUTHORITY.test(host) && URL.canParse(`http://${host}`);
}
