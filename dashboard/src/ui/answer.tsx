/** What stands in the place of an answer: it is awaited, or it failed. */
import type { UseQueryResult } from "@tanstack/react-query";
import type { ReactNode } from "react";
import { messageOf } from "../data/transport.ts";
import { Problem } from "./forms/problem.tsx";

/** The answer, or why there is none. An answer that is old stays: the page says that it is. */
export function Answer<T>({
  query,
  children,
}: {
  query: Pick<UseQueryResult<T>, "data" | "error">;
  children: (data: T) => ReactNode;
}): ReactNode {
  if (query.data !== undefined) return children(query.data);
  if (query.error) return <Problem text={messageOf(query.error)} />;
  return <p className="muted">Loading…</p>;
}
