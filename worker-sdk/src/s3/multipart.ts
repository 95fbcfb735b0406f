/** Puts a large object in parts. */
import { StoreError } from "../storage/object-store.ts";
import type { S3Requests } from "./s3-requests.ts";
import { firstOf, xmlText } from "./xml.ts";

/** Parts that are sent at once. */
const PARALLEL = 4;

/** Most parts of an object. */
const MAX_PARTS = 10_000;

/** What is put. */
export interface Upload {
  readonly key: string;
  readonly size: number;
  /** Reads from `start` up to `end`. */
  readonly read: (start: number, end: number) => Promise<Uint8Array>;
  readonly headers: Readonly<Record<string, string>>;
  /** Sent with the last request. */
  readonly condition: Readonly<Record<string, string>>;
  readonly signal: AbortSignal | undefined;
}

/** Puts an object in parts: it appears with the last request, or not at all. False when the condition is not met. */
export async function uploadInParts(
  requests: S3Requests,
  upload: Upload,
  partBytes: number,
): Promise<boolean> {
  const { key, headers, signal } = upload;
  const begun = await requests.send({ method: "POST", key, query: { uploads: "" }, headers, signal });
  const uploadId = firstOf(await begun.text(), "UploadId");
  if (uploadId === undefined)
    throw new StoreError("S3_BAD_ANSWER", `POST ${requests.urlOf(key)}?uploads: the answer has no UploadId.`);
  try {
    const etags = await sendParts(
      requests,
      upload,
      uploadId,
      Math.max(partBytes, Math.ceil(upload.size / MAX_PARTS)),
    );
    if (await complete(requests, upload, uploadId, etags)) return true;
  } catch (error) {
    await abort(requests, key, uploadId).catch(() => {
      // The first error says why; what is left is removed by its age (`removeUnfinished`).
    });
    throw error;
  }
  await abort(requests, key, uploadId);
  return false;
}

/** Removes the parts of an upload. */
export async function abort(
  requests: S3Requests,
  key: string,
  uploadId: string,
  signal?: AbortSignal,
): Promise<void> {
  const answer = await requests.send({ method: "DELETE", key, query: { uploadId }, expected: [404], signal });
  await answer.body?.cancel();
}

async function sendParts(
  requests: S3Requests,
  { key, size, read, signal }: Upload,
  uploadId: string,
  partBytes: number,
): Promise<string[]> {
  const count = Math.ceil(size / partBytes);
  const etags = new Array<string>(count);
  let next = 0;
  const sendNext = async (): Promise<void> => {
    for (let index = next++; index < count; index = next++) {
      const body = await read(index * partBytes, Math.min(size, (index + 1) * partBytes));
      const query = { partNumber: String(index + 1), uploadId };
      const answer = await requests.send({ method: "PUT", key, query, body, signal });
      await answer.body?.cancel();
      const etag = answer.headers.get("etag");
      if (etag === null)
        throw new StoreError(
          "S3_BAD_ANSWER",
          `PUT ${requests.urlOf(key)}: part ${index + 1} was answered without an ETag.`,
        );
      etags[index] = etag;
    }
  };
  const sending = Array.from({ length: Math.min(PARALLEL, count) }, () =>
    sendNext().catch((error: unknown) => {
      next = count;
      throw error;
    }),
  );
  // All have ended before the upload is aborted: a part that arrives afterwards would stay.
  const failed = (await Promise.allSettled(sending)).find(({ status }) => status === "rejected");
  if (failed?.status === "rejected") throw failed.reason;
  return etags;
}

async function complete(
  requests: S3Requests,
  { key, condition, signal }: Upload,
  uploadId: string,
  etags: readonly string[],
): Promise<boolean> {
  const parts = etags.map(
    (etag, index) => `<Part><PartNumber>${index + 1}</PartNumber><ETag>${xmlText(etag)}</ETag></Part>`,
  );
  const body = Buffer.from(`<CompleteMultipartUpload>${parts.join("")}</CompleteMultipartUpload>`);
  const answer = await requests.send({
    ...{ method: "POST", key, query: { uploadId }, body, signal, expected: [412] },
    headers: { "content-type": "application/xml", ...condition },
  });
  const text = await answer.text();
  if (!answer.ok) return false;
  // The answer begins before the parts are joined, which may fail then.
  const code = /<Error[\s>]/.test(text) ? firstOf(text, "Code") : undefined;
  if (code === undefined) return true;
  throw new StoreError(
    "S3_INCOMPLETE",
    `POST ${requests.urlOf(key)}: ${code}: ${firstOf(text, "Message") ?? ""}`,
  );
}
