/** Calls that change something. */
import { type UseMutationResult, useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { sessionQuery } from "./session.ts";

/** Runs a call; what the page shows is asked for again after it. */
export function useAction<I>(call: (input: I) => Promise<unknown>): UseMutationResult<unknown, Error, I> {
  const client = useQueryClient();
  return useMutation({
    mutationFn: call,
    onSettled: () => client.invalidateQueries(),
  });
}

/** False in read-only mode: then no button of a change is shown. The scheduler refuses changes itself. */
export function useMayChange(): boolean {
  const { data } = useQuery(sessionQuery);
  return data?.readOnly === false;
}
