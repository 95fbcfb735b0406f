import assert from "node:assert/strict";
import { test } from "node:test";
import { takePages } from "./paging.ts";

/** A list of `total` numbers that gives pages of at most `most`. */
function listOf(total: number, most = 1000) {
  const asked: number[] = [];
  const fetchPage = async (pageSize: number, pageToken: string) => {
    asked.push(pageSize);
    const start = Number(pageToken);
    const end = Math.min(start + Math.min(pageSize, most), total);
    const items = Array.from({ length: end - start }, (_, index) => start + index);
    return { items, nextPageToken: end < total ? String(end) : "" };
  };
  return { asked, fetchPage };
}

test("pages are taken until there are enough", async () => {
  const { asked, fetchPage } = listOf(5000);
  const page = await takePages(2500, "", fetchPage);
  assert.equal(page.items.length, 2500);
  assert.equal(page.items.at(-1), 2499);
  assert.equal(page.nextPageToken, "2500");
  assert.deepEqual(asked, [1000, 1000, 500]);
});

test("the end of the list is the end", async () => {
  const short = listOf(3, 2);
  assert.deepEqual(await takePages(50, "", short.fetchPage), { items: [0, 1, 2], nextPageToken: "" });
  assert.deepEqual(await takePages(50, "", listOf(0).fetchPage), { items: [], nextPageToken: "" });
  assert.deepEqual(await takePages(50, "2", listOf(3).fetchPage), { items: [2], nextPageToken: "" });
  const all = await takePages(Number.POSITIVE_INFINITY, "", listOf(2001).fetchPage);
  assert.equal(all.items.length, 2001);
});
