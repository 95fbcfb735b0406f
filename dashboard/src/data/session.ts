/** Whether the scheduler asks for its token, and what the page may do. */
import { queryOptions } from "@tanstack/react-query";
import { BASE } from "./transport.ts";

export interface Session {
  readonly version: string;
  readonly readOnly: boolean;
  /** When payloads, results and tracebacks are shown: at once, when asked for, or never. */
  readonly payloads: "shown" | "hidden" | "never";
  /** Address of a trace, with `{trace_id}` in it. */
  readonly traceUrl?: string;
  /** `required`: the token is to be typed. */
  readonly signIn: "none" | "required" | "done";
}

const URL_OF_SESSION = new URL("session", BASE);

export const sessionQuery = queryOptions({
  queryKey: ["session"],
  queryFn: async ({ signal }): Promise<Session> => {
    const response = await fetch(URL_OF_SESSION, { signal, cache: "no-store" });
    if (!response.ok) throw new Error(`the scheduler answered with status ${response.status}`);
    return (await response.json()) as Session;
  },
  staleTime: Number.POSITIVE_INFINITY,
});

/** @throws Error with the scheduler's own words. */
export async function signIn(token: string): Promise<void> {
  const response = await fetch(URL_OF_SESSION, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ token }),
  });
  if (response.ok) return;
  const body = (await response.json().catch(() => ({}))) as { message?: string; error?: string };
  throw new Error(body.message ?? body.error ?? `the scheduler answered with status ${response.status}`);
}

export async function signOut(): Promise<void> {
  await fetch(URL_OF_SESSION, { method: "DELETE" });
}

/** Where workers and the muster command connect, `host:port`. */
export const grpcAddressQuery = queryOptions({
  queryKey: ["grpc-address"],
  queryFn: async ({ signal }): Promise<string> => {
    const response = await fetch(BASE, { signal, headers: { accept: "application/json" } });
    const { grpc } = (await response.json()) as { grpc: string };
    return grpc;
  },
  staleTime: Number.POSITIVE_INFINITY,
});
