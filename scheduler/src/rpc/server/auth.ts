/** Checks the bearer token. */
import { createHash, timingSafeEqual } from "node:crypto";
import { Refusal } from "../../domain/errors.ts";

/** Checks the bearer token of calls; without a configured token everybody may call. */
export class Auth {
  readonly #digest: Buffer | undefined;

  constructor(token: string | undefined) {
    this.#digest = token === undefined ? undefined : digest(token);
  }

  /**
   * @param authorization The header's value, or undefined when there is none.
   * @throws Refusal `INVALID_TOKEN`
   */
  check(authorization: string | undefined): void {
    if (!this.#digest) return;
    const token = /^Bearer (.+)$/i.exec(authorization ?? "")?.[1];
    if (token !== undefined && timingSafeEqual(digest(token), this.#digest)) return;
    const what =
      token === undefined ? "no bearer token was sent" : "the bearer token is not this scheduler's";
    throw new Refusal(
      "unauthenticated",
      "INVALID_TOKEN",
      `${what}; set MUSTER_TOKEN to the token that the scheduler was started with`,
    );
  }
}

function digest(text: string): Buffer {
  return createHash("sha256").update(text).digest();
}
