/** Reads an answer again and again while the page is visible. */
import { keepPreviousData, type QueryKey, type UseQueryResult, useQuery } from "@tanstack/react-query";
import { CALL_TIMEOUT_MS } from "./transport.ts";

/** Options of a call of the API. */
export interface CallOptions {
  readonly signal: AbortSignal;
  readonly timeoutMs: number;
}

/**
 * The newest answer; while the scheduler is away the last one stays.
 *
 * @param everyMs From one answer to the next question.
 */
export function useLive<T>(
  key: QueryKey,
  call: (options: CallOptions) => Promise<T>,
  everyMs: number,
): UseQueryResult<T> {
  return useQuery({
    queryKey: key,
    queryFn: ({ signal }) => call({ signal, timeoutMs: CALL_TIMEOUT_MS }),
    refetchInterval: everyMs,
    placeholderData: keepPreviousData,
  });
}
