/** Splits `host:port` and `[v6]:port`. */
export function splitAddress(address: string): { host: string; port: number } {
  const at = address.lastIndexOf(":");
  return { host: address.slice(0, at).replace(/^\[|\]$/g, ""), port: Number(address.slice(at + 1)) };
}

/**
 * What to look at when nothing listens at `host:port`; empty for an address of this machine. The scheduler's default address
 * is refused there to every other machine.
 */
export function notListening(address: string): string {
  const { host, port } = splitAddress(address);
  return isLoopback(host)
    ? ""
    : "does the scheduler run, and listen for other machines? By default it listens on 127.0.0.1 alone; " +
        `start it with --grpc-addr 0.0.0.0:${port}`;
}

/** True for a host that is always this machine. */
export function isLoopback(host: string): boolean {
  const name = host
    .toLowerCase()
    .replace(/\.$/, "")
    .replace(/^::ffff:/, "");
  return (
    name === "localhost" ||
    name.endsWith(".localhost") ||
    /^127(?:\.\d+){3}$/.test(name) ||
    name === "::1" ||
    name === "0.0.0.0" ||
    name === "::"
  );
}
