import type { Page } from "../api/paging.ts";
import type { Io } from "../io/io.ts";

/** Writes to stderr, apart from the data, that a list is empty and what to do. */
export function hintNone(io: Io, what: string, remedy: string): void {
  io.stderr.write(`${io.stderr.colors.dim(`${what}; ${remedy}`)}\n`);
}

/** Writes to stderr that a list has more rows than were shown. */
export function hintMore(io: Io, page: Page<unknown>): void {
  if (page.nextPageToken === "") return;
  const text = `${page.items.length} shown, there are more: raise --limit, or continue with --page-token ${page.nextPageToken}`;
  io.stderr.write(`${io.stderr.colors.dim(text)}\n`);
}
