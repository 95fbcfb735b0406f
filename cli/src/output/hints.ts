import type { Page } from "../api/paging.ts";
import type { Io } from "../io/io.ts";

/** Says on stderr, where it is in nobody's way, that a list is empty and what to do. */
export function hintNone(io: Io, what: string, remedy: string): void {
  io.stderr.write(`${io.stderr.colors.dim(`${what}; ${remedy}`)}\n`);
}

/** Says on stderr that a list has more than was shown. */
export function hintMore(io: Io, page: Page<unknown>): void {
  if (page.nextPageToken === "") return;
  const text = `${page.items.length} shown, there are more: raise --limit, or continue with --page-token ${page.nextPageToken}`;
  io.stderr.write(`${io.stderr.colors.dim(text)}\n`);
}
