/** Page sizes and page tokens. */
import { quoted } from "@muster/common/text/text";
import { Refusal } from "../../domain/errors.ts";
import { invalidRequest } from "../../domain/refusals.ts";
import type { ListPosition } from "../../queries/worker-list.ts";

/** Largest page. */
const MAX_PAGE_SIZE = 1_000;

/** Marks a token that goes on among the rejected workers. */
const REJECTED_PREFIX = "refused:";

/** Size of a page: the requested one, or the default. @throws Refusal `INVALID_REQUEST`. */
export function pageSize(asked: number, byDefault: number): number {
  if (asked === 0) return byDefault;
  if (asked < 0 || asked > MAX_PAGE_SIZE) {
    throw invalidRequest({
      field: "page_size",
      description: `${asked} is not between 1 and ${MAX_PAGE_SIZE}`,
    });
  }
  return asked;
}

/** Token that continues after the row with this id. */
export function pageToken(id: number): string {
  return Buffer.from(`v1:${id}`).toString("base64url");
}

/** Id behind a token; undefined for the first page. @throws Refusal `INVALID_PAGE_TOKEN`. */
export function parsePageToken(token: string): number | undefined {
  if (token === "") return undefined;
  const match = /^v1:(\d{1,16})$/.exec(Buffer.from(token, "base64url").toString("utf8"));
  if (match) return Number(match[1]);
  throw unknownToken(token);
}

/** Token that continues after the row with this name. */
export function nameToken(name: string): string {
  return Buffer.from(`n1:${name}`).toString("base64url");
}

/** Name behind a token; undefined for the first page. @throws Refusal `INVALID_PAGE_TOKEN`. */
export function parseNameToken(token: string): string | undefined {
  if (token === "") return undefined;
  const match = /^n1:([A-Za-z0-9][A-Za-z0-9._:/-]{0,127})$/.exec(
    Buffer.from(token, "base64url").toString("utf8"),
  );
  if (match) return match[1];
  throw unknownToken(token);
}

/** Token that continues after this concurrency key. */
export function keyToken(key: string): string {
  return Buffer.from(`k1:${key}`).toString("base64url");
}

/** Key behind a token; undefined for the first page. @throws Refusal `INVALID_PAGE_TOKEN`. */
export function parseKeyToken(token: string): string | undefined {
  if (token === "") return undefined;
  const text = Buffer.from(token, "base64url").toString("utf8");
  if (text.startsWith("k1:") && !text.includes("\0")) return text.slice("k1:".length);
  throw unknownToken(token);
}

/** Token that continues after this line of an attempt. */
export function logToken({ epoch, sequence }: { readonly epoch: number; readonly sequence: number }): string {
  return Buffer.from(`l1:${epoch}.${sequence}`).toString("base64url");
}

/** Position behind a token; undefined for the first page. @throws Refusal `INVALID_PAGE_TOKEN`. */
export function parseLogToken(token: string): { epoch: number; sequence: number } | undefined {
  if (token === "") return undefined;
  const text = Buffer.from(token, "base64url").toString("utf8");
  const [, epoch, sequence] = /^l1:([1-9]\d{0,8})\.(\d{1,16})$/.exec(text) ?? [];
  if (epoch === undefined) throw unknownToken(token);
  return { epoch: Number(epoch), sequence: Number(sequence) };
}

/** Token of a position in the list of workers. */
export function workerToken(position: ListPosition): string {
  if (position.kind === "session") return position.beforeId === undefined ? "" : pageToken(position.beforeId);
  return Buffer.from(`${REJECTED_PREFIX}${position.afterId}`).toString("base64url");
}

/** Position behind a token; the beginning for the empty one. @throws Refusal `INVALID_PAGE_TOKEN`. */
export function parseWorkerToken(token: string): ListPosition {
  const text = Buffer.from(token, "base64url").toString("utf8");
  if (text.startsWith(REJECTED_PREFIX))
    return { kind: "rejected", afterId: text.slice(REJECTED_PREFIX.length) };
  return { kind: "session", beforeId: parsePageToken(token) };
}

function unknownToken(token: string): Refusal {
  return new Refusal(
    "invalid",
    "INVALID_PAGE_TOKEN",
    `page_token ${quoted(token)} is not from this service; pass next_page_token unchanged`,
  );
}
