/** The page at `/`. */
import type { DescService } from "@bufbuild/protobuf";
import { VERSION } from "../version.ts";

/** Content of `GET /`. */
export interface FrontPage {
  readonly service: "muster";
  readonly version: string;
  /** Where gRPC is served, `host:port`. */
  readonly grpc: string;
  readonly paths: Readonly<Record<string, string>>;
}

export function frontPage(grpc: string, services: readonly DescService[]): FrontPage {
  return {
    service: "muster",
    version: VERSION,
    grpc,
    paths: {
      "/": "this list; for a browser the dashboard",
      "/v1/tasks/TYPE": "submits by POST: the body is the payload, ?wait=30s answers with the result",
      "/v1/tasks/ID": "a task as JSON; /result and /payload as they were sent",
      "/v1/openapi.json": "the description of these, in OpenAPI 3.1",
      "/livez": "200 while the scheduler's loops run",
      "/readyz": "200 while it takes work; otherwise 503 and why",
      "/metrics": "measures, in the Prometheus text format; asks for the token when there is one",
      ...Object.fromEntries(
        services.map(({ typeName, methods }) => {
          const names = methods
            .filter(({ methodKind }) => methodKind !== "bidi_streaming")
            .map(({ name }) => name);
          return [`/${typeName}/METHOD`, `calls by POST with JSON; METHOD is ${names.join(", ")}`];
        }),
      ),
    },
  };
}

/** The page as text. */
export function frontPageText({ version, grpc, paths }: FrontPage): string {
  const lines = Object.entries(paths).map(([path, what]) => `  ${path.padEnd(10)}  ${what}`);
  return `This is the HTTP address of a Muster scheduler, version ${version}.

Workers and gRPC clients, the muster command among them, connect to ${grpc}.

Paths here:
${lines.join("\n")}

For example:
  curl -s 'http://HOST:PORT/v1/tasks/TYPE?wait=30s' --json '{}'
  curl -s -H 'content-type: application/json' -d '{}' http://HOST:PORT/muster.v1.TaskService/ListTasks
`;
}

/** True when the caller accepts JSON rather than text. */
export function wantsJson(accept: string | undefined): boolean {
  return /\bapplication\/json\b/i.test(accept ?? "");
}
