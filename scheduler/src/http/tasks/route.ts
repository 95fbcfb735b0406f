/** Which resource a request is for. */
import { quoted } from "@muster/common/text/text";
import { badRequest, Problem } from "./problem.ts";

/** A request under `/v1`. */
export type Route =
  | { readonly kind: "submit"; readonly type: string }
  | { readonly kind: "read" | "result" | "payload" | "cancel"; readonly taskId: string }
  | { readonly kind: "description" };

/** Where a task is read, its payload and its result. */
export function taskPath(taskId: string, part?: "payload" | "result"): string {
  const path = `/v1/tasks/${encodeURIComponent(taskId)}`;
  return part === undefined ? path : `${path}/${part}`;
}

/**
 * @param method Method of the request. @param path Its path, without the query.
 * @throws Problem 404 for an unknown path, 405 for a method that the path does not take, 400 for one that cannot be decoded.
 */
export function readRoute(method: string, path: string): Route {
  const [, , first, second, third, ...more] = path.split("/").map(decoded);
  if (first === "openapi.json" && second === undefined)
    return allowed(method, { GET: { kind: "description" } });
  if (first !== "tasks" || second === undefined || second === "" || more.length > 0) throw unknown(path);
  switch (third) {
    case undefined:
      return allowed(method, {
        GET: { kind: "read", taskId: second },
        POST: { kind: "submit", type: second },
      });
    case "result":
    case "payload":
      return allowed(method, { GET: { kind: third, taskId: second } });
    case "cancel":
      return allowed(method, { POST: { kind: "cancel", taskId: second } });
    default:
      throw unknown(path);
  }
}

function allowed(method: string, routes: Readonly<Record<string, Route>>): Route {
  const route = Object.hasOwn(routes, method) ? routes[method] : undefined;
  if (route) return route;
  if (method === "HEAD" && routes.GET) return routes.GET;
  const names = Object.keys(routes);
  throw new Problem(
    405,
    {
      code: "METHOD_NOT_ALLOWED",
      message: `the method ${quoted(method, 20)} is not served here; send ${names.join(" or ")}`,
    },
    { allow: names.join(", ") },
  );
}

function unknown(path: string): Problem {
  return badRequest(
    `there is nothing at ${quoted(path)}; GET /v1/openapi.json describes what there is, and a "/" in a task type is sent as %2F`,
    404,
    "NOT_FOUND",
  );
}

function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    throw badRequest(`${quoted(part)} is not percent-encoded UTF-8; encode a "%" as %25`);
  }
}
