/** The cache of answers. It records the freshness of the page, and asks for a sign-in when a session is over. */
import { Code, ConnectError } from "@connectrpc/connect";
import { QueryCache, QueryClient } from "@tanstack/react-query";
import { answered, failed } from "./freshness.ts";
import { isUnauthenticated, messageOf } from "./transport.ts";

/** The scheduler, or its database, is away. Any other refusal is an answer. */
const ABSENCE: ReadonlySet<Code> = new Set([
  Code.Unavailable,
  Code.DeadlineExceeded,
  Code.Unknown,
  Code.Internal,
]);

export const queryClient: QueryClient = new QueryClient({
  queryCache: new QueryCache({
    onSuccess: () => answered(),
    onError: (error) => {
      if (isUnauthenticated(error)) void queryClient.invalidateQueries({ queryKey: ["session"] });
      else if (ABSENCE.has(ConnectError.from(error).code)) failed(messageOf(error));
      else answered();
    },
  }),
  defaultOptions: {
    queries: {
      // Every query is asked again at its interval; a failure is shown at once.
      retry: false,
      // The browser's idea of being online says nothing of the scheduler.
      networkMode: "always",
      refetchOnWindowFocus: true,
    },
    mutations: { networkMode: "always", retry: false },
  },
});
