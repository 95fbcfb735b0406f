/** Decides who may call by HTTP: pages of other sites may not, and the dashboard's session takes the place of the token. */
import { quoted } from "@muster/common/text/text";
import { Refusal } from "../domain/errors.ts";
import type { Auth } from "../rpc/server/auth.ts";
import type { DashboardSessions } from "./dashboard/sessions.ts";

/** The headers of a request that say where it comes from. */
export interface CallerHeaders {
  readonly authorization: string | undefined;
  readonly cookie: string | undefined;
  readonly host: string | undefined;
  readonly origin: string | undefined;
  /** `Sec-Fetch-Site`: browsers send it, and pages cannot set it. */
  readonly site: string | undefined;
  /** `Sec-Fetch-Mode`. */
  readonly mode: string | undefined;
}

/** What a request asks for. */
export type Access = "read" | "change";

export interface CallersParts {
  readonly auth: Pick<Auth, "check">;
  /** Undefined: there is no token, or no dashboard. */
  readonly sessions: Pick<DashboardSessions, "isValid"> | undefined;
  /** Browsers may read only. */
  readonly readOnly: boolean;
  /** Browsers get no payloads. */
  readonly withoutPayloads: boolean;
}

/** Checks the callers of Connect and of plain HTTP. */
export class Callers {
  readonly #parts: CallersParts;

  constructor(parts: CallersParts) {
    this.#parts = parts;
  }

  /** @throws Refusal `CROSS_ORIGIN`, `INVALID_TOKEN`, `READ_ONLY` */
  check(headers: CallerHeaders, access: Access): void {
    checkOrigin(headers, access);
    const bySession = this.#hasSession(headers);
    if (!bySession) this.#parts.auth.check(headers.authorization);
    if (access === "change" && this.#parts.readOnly && (bySession || isBrowser(headers)))
      throw new Refusal(
        "forbidden",
        "READ_ONLY",
        "the dashboard of this scheduler is read-only (--dashboard read-only); use the muster command to change something",
      );
  }

  /** The caller is a page, and pages may not see what tasks are given and return. */
  hidesPayloads(headers: CallerHeaders): boolean {
    return this.#parts.withoutPayloads && (this.#hasSession(headers) || isBrowser(headers));
  }

  #hasSession(headers: CallerHeaders): boolean {
    return headers.authorization === undefined && this.#parts.sessions?.isValid(headers.cookie) === true;
  }
}

/** A page that may not see what tasks are given and return has asked for it. */
export function payloadsNotShown(): Refusal {
  return new Refusal(
    "forbidden",
    "PAYLOADS_NOT_SHOWN",
    "this scheduler shows no payloads and results to browsers (--dashboard-payloads never); use the muster command",
  );
}

/**
 * A page of any site may send a body of text without being asked first; without a token it would be obeyed.
 *
 * @throws Refusal `CROSS_ORIGIN`
 */
export function checkOrigin(headers: CallerHeaders, access: Access): void {
  const { site, mode, origin, host } = headers;
  // A link on another page: its target shows what it shows anyway, and the page of the link reads nothing of it.
  if (access === "read" && mode === "navigate") return;
  // A browser compares with the address that it called, whatever a proxy makes of the header Host.
  if (site === "same-origin" || site === "none") return;
  if (site === undefined && (origin === undefined || isOwnOrigin(origin, host))) return;
  const from =
    origin === undefined ? `Sec-Fetch-Site is ${quoted(site ?? "", 80)}` : `Origin is ${quoted(origin, 80)}`;
  throw new Refusal(
    "forbidden",
    "CROSS_ORIGIN",
    `the header ${from}; pages of other origins may not call: call from a program, or from a page of this address`,
  );
}

function isBrowser({ site, origin }: CallerHeaders): boolean {
  return site !== undefined || origin !== undefined;
}

function isOwnOrigin(origin: string, host: string | undefined): boolean {
  return URL.canParse(origin) && new URL(origin).host === host?.toLowerCase();
}

/** The headers of a request of Node's server, in which a repeated header is one. */
export function callerHeaders(
  headers: Readonly<Record<string, string | string[] | undefined>>,
): CallerHeaders {
  const one = (name: string) => {
    const value = headers[name];
    return typeof value === "string" ? value : undefined;
  };
  return headersOf(one);
}

/** The same, by the function that returns a header. */
export function headersOf(one: (name: string) => string | undefined): CallerHeaders {
  return {
    authorization: one("authorization"),
    cookie: one("cookie"),
    host: one("host"),
    origin: one("origin"),
    site: one("sec-fetch-site"),
    mode: one("sec-fetch-mode"),
  };
}
