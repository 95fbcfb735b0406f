import { readableDialError } from "../../network/dial-error.ts";
import { probePeer, type WrongPeer } from "../../network/peer-probe.ts";
import { proxyFor } from "../../network/proxy.ts";
import type { Environment } from "../../options/connection-options.ts";
import type { LinkData } from "../messages.ts";
import type { StreamEnd } from "./stream-end.ts";
import { describeStreamEnd } from "./stream-end.ts";

/** Nothing answers there: who does need not be asked. */
const NOBODY = /ECONNREFUSED|ENOTFOUND|EAI_AGAIN|ETIMEDOUT|EHOSTUNREACH|ENETUNREACH|Name resolution/;

/** Puts failed dials in words: the proxy that they went through, and what answers at an address that is no scheduler's. */
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
   * Why a stream to `address` ended, as one line.
   * @param found Called when it is known to be no scheduler, with a better line; the next dials say it at once.
   */
  describe(end: StreamEnd, address: string, found: ((line: string) => void) | undefined): string {
    const line = `${address}: ${describeStreamEnd({ ...end, message: readableDialError(end.message) })}`;
    if (end.status !== "UNAVAILABLE" || end.reason !== "") return line;
    const way = this.way(address);
    if (way !== "") return `${line}${way}`;
    if (NOBODY.test(end.message) || found === undefined) return line;
    const wrong = this.#wrong.get(address);
    if (wrong !== undefined) return wrongLine(wrong);
    void this.#probe(address, found);
    return line;
  }

  /** Says which proxy stands before an address; empty for none. */
  way(address: string): string {
    const proxy = proxyFor(address, this.#env);
    if (proxy === undefined) return "";
    return ` (through the proxy ${proxy.url} that ${proxy.variable} names; an entry in no_proxy makes it direct)`;
  }

  async #probe(address: string, found: (line: string) => void): Promise<void> {
    if (this.#probing) return;
    this.#probing = true;
    const wrong = await probePeer(address, this.#tls);
    this.#probing = false;
    if (wrong === undefined) return;
    this.#wrong.set(address, wrong);
    found(wrongLine(wrong));
  }
}

function wrongLine({ what, remedy }: WrongPeer): string {
  return `${what}; ${remedy}`;
}
