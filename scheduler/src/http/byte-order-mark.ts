/** Removes a byte order mark from a request's body. */
import type { IncomingMessage } from "node:http";

/** U+FEFF in UTF-8. */
const BYTE_ORDER_MARK = Buffer.from([0xef, 0xbb, 0xbf]);

/** Takes the mark off a JSON body, with which editors and shells of some systems begin every file. */
export function withoutByteOrderMark(request: IncomingMessage): IncomingMessage {
  if (!/^application\/(?:json|connect\+json)\b/i.test(request.headers["content-type"] ?? "")) return request;
  // It would promise three bytes that do not come; how much is read is bounded without it.
  delete request.headers["content-length"];
  const chunks = request[Symbol.asyncIterator].bind(request);
  request[Symbol.asyncIterator] = () => stripped(chunks());
  return request;
}

async function* stripped(chunks: AsyncIterable<Buffer>): AsyncGenerator<Buffer, undefined, undefined> {
  let start: Buffer | undefined = Buffer.alloc(0);
  for await (const chunk of chunks) {
    if (start === undefined) {
      yield chunk;
      continue;
    }
    start = Buffer.concat([start, chunk]);
    // One byte of the mark may come alone.
    if (start.length < BYTE_ORDER_MARK.length && BYTE_ORDER_MARK.indexOf(start) === 0) continue;
    yield start.indexOf(BYTE_ORDER_MARK) === 0 ? start.subarray(BYTE_ORDER_MARK.length) : start;
    start = undefined;
  }
  if (start !== undefined && start.length > 0) yield start;
}
