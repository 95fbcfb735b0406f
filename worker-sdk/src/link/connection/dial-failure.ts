/** Describes a failed dial. */
import { notListening } from "@muster/common/addresses";
import { readableDialError } from "../../network/dial-error.ts";
import type { WrongPeer } from "../../network/peer-probe.ts";
import { proxyFor } from "../../network/proxy.ts";
import type { Environment } from "../../options/connection-options.ts";
import type { LinkData } from "../thread-data.ts";
import type { StreamEnd } from "./stream-end.ts";
import { describeStreamEnd } from "./stream-end.ts";

/** Nothing listens there: a probe would find nothing more. */
const NO_LISTENER = /ECONNREFUSED|ENOTFOUND|EAI_AGAIN|ETIMEDOUT|EHOSTUNREACH|ENETUNREACH|Name resolution/;

/** Describes failed dials: the proxy on the way, and what answers at an address that is not a scheduler's. */
export class DialFailures {
  readonly #tls: LinkData["tls"];
  readonly #env: Environment;
  readonly #wrong = new Map<string, WrongPeer>();
  #probing = false;

  constructor(tls: LinkData["tls"], env: Environment) {
    this.#tls = tls;
    this.#env = env;
  }

  /**
   * Describes in one line why a stream to `address` ended.
   * @param found Called with a better line once a probe shows that it is no scheduler; later dials have that line at
   * once.
   */
  describe(end: StreamEnd, address: string, found: ((line: string) => void) | undefined): string {
    const line = `${address}: ${describeStreamEnd({ ...end, message: readableDialError(end.message) })}`;
    if (end.status !== "UNAVAILABLE" || end.reason !== "") return line;
    const way = this.way(address);
    if (way !== "") return `${line}${way}`;
    if (end.message.includes("ECONNREFUSED")) return [line, notListening(address)].filter(Boolean).join("; ");
    if (NO_LISTENER.test(end.message) || found === undefined) return line;
    const wrong = this.#wrong.get(address);
    if (wrong !== undefined) return wrongLine(wrong);
    void this.#probe(address, found);
    return line;
  }

  /** Names the proxy on the way to an address; empty without one. */
  way(address: string): string {
    const proxy = proxyFor(address, this.#env);
    if (proxy === undefined) return "";
    return ` (through the proxy ${proxy.url} that ${proxy.variable} names; an entry in no_proxy makes it direct)`;
  }

  async #probe(address: string, found: (line: string) => void): Promise<void> {
    if (this.#probing) return;
    this.#probing = true;
    const wrong = await probe(address, this.#tls);
    this.#probing = false;
    if (wrong === undefined) return;
    this.#wrong.set(address, wrong);
    found(wrongLine(wrong));
  }
}

/** Loads the probe when it is needed: Node's HTTP client takes a tenth of the start of this thread. */
async function probe(address: string, tls: LinkData["tls"]): Promise<WrongPeer | undefined> {
  try {
    const { probePeer } = await import("../../network/peer-probe.ts");
    return await probePeer(address, tls);
  } catch {
    // A process without free descriptors can load nothing: the line of the dial, which names that, stands.
    return undefined;
  }
}

function wrongLine({ what, remedy }: WrongPeer): string {
  return `${what}; ${remedy}`;
}
