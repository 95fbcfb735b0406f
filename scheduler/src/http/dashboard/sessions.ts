/** Sign-in of the dashboard: a cookie that proves that the browser's user had the token. */
import { createHmac, timingSafeEqual } from "node:crypto";

/** A session ends after this, milliseconds; it ends sooner with the browser, or when the token changes. */
export const SESSION_MS = 24 * 3_600_000;

/**
 * Makes and checks the cookies. Nothing is kept: every scheduler with the same token takes them, also after a restart. The
 * token cannot be derived from a cookie.
 */
export class DashboardSessions {
  readonly #token: string;
  /** Milliseconds since the epoch. The wall clock of the machine decides only when the next sign-in is due. */
  readonly #now: () => number;
  /** Schedulers on other ports of the host share the browser's cookies. */
  readonly #name: string;

  constructor(token: string, now: () => number) {
    this.#token = token;
    this.#now = now;
    this.#name = `muster-session-${this.#sign("name").slice(0, 8)}`;
  }

  /** The token as it was typed is the scheduler's. */
  accepts(token: string): boolean {
    return isSame(this.#sign(`typed ${token}`), this.#sign(`typed ${this.#token}`));
  }

  /**
   * The header that begins a session. Without a path the browser takes that of the page, which a proxy may have moved.
   *
   * @param secure The page came by HTTPS.
   */
  begin(secure: boolean): string {
    const until = String(this.#now() + SESSION_MS);
    return this.#cookie(`${until}.${this.#sign(until)}`, secure);
  }

  /** The header that ends a session. */
  end(secure: boolean): string {
    return `${this.#cookie("", secure)}; Max-Age=0`;
  }

  /** @param cookies The header Cookie. */
  isValid(cookies: string | undefined): boolean {
    for (const part of (cookies ?? "").split(";")) {
      const [name, value = ""] = part.trim().split("=", 2);
      if (name !== this.#name) continue;
      const [until = "", signature = ""] = value.split(".", 2);
      if (isSame(signature, this.#sign(until)) && Number(until) > this.#now()) return true;
    }
    return false;
  }

  #cookie(value: string, secure: boolean): string {
    return `${this.#name}=${value}; HttpOnly; SameSite=Strict${secure ? "; Secure" : ""}`;
  }

  #sign(text: string): string {
    return createHmac("sha256", this.#token).update(`muster dashboard ${text}`).digest("base64url");
  }
}

function isSame(a: string, b: string): boolean {
  const [left, right] = [Buffer.from(a), Buffer.from(b)];
  return left.length === right.length && timingSafeEqual(left, right);
}
