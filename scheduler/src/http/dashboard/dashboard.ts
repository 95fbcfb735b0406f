/** Serves the dashboard: its files, and the sign-in. */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Calls } from "../../rpc/server/calls.ts";
import { VERSION } from "../../version.ts";
import { answer } from "../answer.ts";
import { callerHeaders, checkOrigin } from "../callers.ts";
import { readBody } from "../tasks/body.ts";
import { badRequest, isOwnFault, toProblem } from "../tasks/problem.ts";
import { type DashboardAssets, encodingFor } from "./assets.ts";
import type { DashboardSessions } from "./sessions.ts";

/** Name of these requests in the log and the metrics. */
const METHOD = "Dashboard";

/** Largest body of a sign-in, bytes. */
const MAX_SIGN_IN = 16_384;

/** The names of files have a hash of their content. */
const FOREVER = "public, max-age=31536000, immutable";

/** Nothing but the scheduler's own files is loaded, and no text becomes a script, a style or a frame. */
const CONTENT_SECURITY_POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self' data: blob:",
  "connect-src 'self'",
  "form-action 'self'",
  "base-uri 'none'",
  "frame-ancestors 'none'",
  "require-trusted-types-for 'script'",
  "trusted-types 'none'",
].join("; ");

const HEADERS = {
  "content-security-policy": CONTENT_SECURITY_POLICY,
  "x-content-type-options": "nosniff",
  "x-frame-options": "DENY",
  "referrer-policy": "no-referrer",
  "cross-origin-opener-policy": "same-origin",
  "cross-origin-resource-policy": "same-origin",
};

/** What the dashboard needs. */
export interface DashboardParts {
  readonly assets: DashboardAssets;
  /** Undefined without a token. */
  readonly sessions: DashboardSessions | undefined;
  readonly calls: Calls;
  /** What the page may do and show. */
  readonly shown: {
    readonly readOnly: boolean;
    readonly payloads: "shown" | "hidden" | "never";
    readonly traceUrl: string | undefined;
  };
}

/** Answers a request for a file of the page or for the session; false for any other path. */
export type ServeDashboard = (path: string, request: IncomingMessage, response: ServerResponse) => boolean;

/**
 * - `GET /` for a client that accepts HTML, and `GET /assets/NAME`: the page;
 * - `GET /session` says whether a sign-in is needed, `POST /session` signs in, `DELETE /session` signs out.
 *
 * @param otherwise Answers `GET /` while the page was not built.
 */
export function dashboard(
  parts: DashboardParts,
  otherwise: (request: IncomingMessage, response: ServerResponse) => void,
): ServeDashboard {
  return (path, request, response) => {
    const name = fileOf(path, request);
    if (name === undefined && path !== "/session") return false;
    parts.calls.run({ method: METHOD, fail: () => response.destroy() }, () => {
      const work =
        name === undefined
          ? session(parts, request, response)
          : file(parts, name, request, response, otherwise);
      void work.catch((error: unknown) => fail(parts, request, response, error));
    });
    return true;
  };
}

function fileOf(path: string, { method, headers: { accept } }: IncomingMessage): string | undefined {
  if (method !== "GET" && method !== "HEAD") return undefined;
  if (path === "/") return /\btext\/html\b/i.test(accept ?? "") ? "index.html" : undefined;
  return path.startsWith("/assets/") ? path.slice("/assets/".length) : undefined;
}

async function file(
  { assets }: DashboardParts,
  name: string,
  request: IncomingMessage,
  response: ServerResponse,
  otherwise: (request: IncomingMessage, response: ServerResponse) => void,
): Promise<void> {
  const asset = await assets.get(name);
  if (!asset) {
    if (name === "index.html") return otherwise(request, response);
    return answer(response, 404, {
      error: "the dashboard has no such file; load the page again",
      see: ["/"],
    });
  }
  const encoding = encodingFor(String(request.headers["accept-encoding"] ?? ""));
  const bytes = await asset.bytes(encoding);
  response.writeHead(200, {
    ...HEADERS,
    "content-type": asset.type,
    "content-length": bytes.length,
    ...(encoding === "identity" ? {} : { "content-encoding": encoding }),
    vary: name === "index.html" ? "accept, accept-encoding" : "accept-encoding",
    "cache-control": name === "index.html" ? "no-cache" : FOREVER,
  });
  response.end(request.method === "HEAD" ? undefined : bytes);
}

async function session(
  { sessions, shown }: DashboardParts,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const headers = callerHeaders(request.headers);
  const secure = headers.origin?.startsWith("https:") ?? false;
  switch (request.method) {
    case "GET": {
      checkOrigin(headers, "read");
      const signIn = sessions === undefined ? "none" : sessions.isValid(headers.cookie) ? "done" : "required";
      const { traceUrl, ...others } = shown;
      return answer(response, 200, {
        ...{ version: VERSION, signIn, ...others },
        ...(traceUrl === undefined || signIn === "required" ? {} : { traceUrl }),
      });
    }
    case "POST": {
      checkOrigin(headers, "change");
      const token = await readToken(request);
      if (sessions !== undefined && !sessions.accepts(token))
        throw badRequest(
          "this is not the scheduler's token; it is the one of MUSTER_TOKEN",
          401,
          "INVALID_TOKEN",
        );
      return answer(response, 200, {}, sessions ? { "set-cookie": sessions.begin(secure) } : {});
    }
    case "DELETE":
      checkOrigin(headers, "change");
      return answer(response, 200, {}, sessions ? { "set-cookie": sessions.end(secure) } : {});
    default:
      return answer(response, 405, { error: "send GET, POST or DELETE" }, { allow: "GET, POST, DELETE" });
  }
}

/** @throws Problem */
async function readToken(request: IncomingMessage): Promise<string> {
  const { bytes } = await readBody(request, MAX_SIGN_IN);
  try {
    const body: unknown = JSON.parse(Buffer.from(bytes).toString("utf8"));
    if (typeof body === "object" && body !== null && "token" in body && typeof body.token === "string")
      return body.token.trim();
  } catch {
    // Answered as any other body that is not what it should be.
  }
  throw badRequest('the body is not {"token": "TEXT"}; send the token as JSON');
}

function fail(
  { calls }: DashboardParts,
  request: IncomingMessage,
  response: ServerResponse,
  error: unknown,
): void {
  if (response.destroyed) return;
  if (isOwnFault(error)) calls.report(METHOD, error);
  if (response.headersSent) return void response.destroy();
  if (!request.complete) request.resume();
  const problem = toProblem(error, (field) => field);
  answer(response, problem.status, problem.body, problem.headers);
}
