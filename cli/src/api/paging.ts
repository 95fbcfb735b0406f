/** One page of a list. */
export interface Page<T> {
  readonly items: readonly T[];
  /** Token of the next page; empty after the last. */
  readonly nextPageToken: string;
}

/** The scheduler's maximum page size. */
const MAX_PAGE_SIZE = 1000;

/** Fetches pages until there are `limit` items or the list ends. */
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
