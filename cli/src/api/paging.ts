/** One page of a list. */
export interface Page<T> {
  readonly items: readonly T[];
  /** Token of the next page; empty after the last. */
  readonly nextPageToken: string;
}

/** The largest page that a scheduler gives. */
const MAX_PAGE_SIZE = 1000;

/** Asks for pages until `limit` items are there or the list is at its end. */
export async function takePages<T>(
  limit: number,
  firstToken: string,
  fetchPage: (pageSize: number, pageToken: string) => Promise<Page<T>>,
): Promise<Page<T>> {
  const items: T[] = [];
  let token = firstToken;
  do {
    const page = await fetchPage(Math.min(limit - items.length, MAX_PAGE_SIZE), token);
    items.push(...page.items);
    token = page.nextPageToken;
  } while (token !== "" && items.length < limit);
  return { items, nextPageToken: token };
}
