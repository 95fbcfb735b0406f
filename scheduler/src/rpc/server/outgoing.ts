/** Limits the size of answers and refusals. */
import { create, type DescMessage, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { anyPack } from "@bufbuild/protobuf/wkt";
import { cut } from "@muster/common/text/text";
import {
  BadRequestSchema,
  ERROR_DOMAIN,
  ErrorInfoSchema,
  RetryInfoSchema,
  type Status,
  StatusSchema,
} from "@muster/protocol";
import type { Refusal, Violation } from "../../domain/errors.ts";
import { durationFromMs } from "../convert/values/time.ts";

/**
 * Longest refusal on the wire: the message as `grpc-message` and everything once more in `grpc-status-details-bin`.
 * Clients take 8 KiB (Go, Python, C++) or 16 KiB (Node) of headers, of which a proxy may want some.
 */
export const MAX_REFUSAL_BYTES = 4_096;

/** Of that for the message, as `grpc-message` is encoded: it is sent twice. */
const MAX_MESSAGE_BYTES = 1_024;

/** Longest part of one violation: a long one must not keep the next from being listed. */
const MAX_PART_BYTES = 300;

/** Of each violation for tags and lengths. */
const FRAME_BYTES = 12;

const ELLIPSIS = "...";

/** One detail of a status. */
export interface Detail {
  readonly desc: DescMessage;
  readonly value: MessageInitShape<DescMessage>;
}

/** Message and details of a refusal, within `MAX_REFUSAL_BYTES`. */
export interface Outgoing {
  readonly message: string;
  readonly details: readonly Detail[];
}

/**
 * Text as it may leave: whole characters, no controls but line breaks and tabs, and at most `maxBytes` as
 * `grpc-message` encodes it (everything outside printable ASCII takes three bytes for each of UTF-8).
 */
export function outgoingText(text: string, maxBytes = MAX_MESSAGE_BYTES): string {
  // A character takes at least a byte: the rest of a huge text need not be read.
  const clean = cut(text, maxBytes + 1)
    .toWellFormed()
    .replaceAll(CONTROLS, "\u{FFFD}");
  if (text.length <= maxBytes && encodedBytes(clean) <= maxBytes) return clean;
  let bytes = ELLIPSIS.length;
  let end = 0;
  for (const character of clean) {
    bytes += encodedBytes(character);
    if (bytes > maxBytes) break;
    end += character.length;
  }
  return `${clean.slice(0, end)}${ELLIPSIS}`;
}

/** The refusal's message and details; of its violations the first that fit, and the number of the others. */
export function outgoing(refusal: Refusal): Outgoing {
  const message = outgoingText(refusal.message);
  const details: Detail[] = [
    {
      desc: ErrorInfoSchema,
      value: create(ErrorInfoSchema, { reason: refusal.reason, domain: ERROR_DOMAIN }),
    },
  ];
  if (refusal.retryDelayMs !== undefined) {
    const retryDelay = durationFromMs(refusal.retryDelayMs);
    details.push({ desc: RetryInfoSchema, value: create(RetryInfoSchema, { retryDelay }) });
  }
  const total = Math.max(refusal.violationCount, refusal.violations.length);
  if (total > 0) {
    // Room that is left, in bytes before base64.
    const room = ((MAX_REFUSAL_BYTES - encodedBytes(message)) * 3) / 4 - detailBytes(message, details);
    const fieldViolations = fitting(refusal.violations, total, room);
    details.push({ desc: BadRequestSchema, value: create(BadRequestSchema, { fieldViolations }) });
  }
  return { message, details };
}

/** The same as `google.rpc.Status`. */
export function outgoingStatus(code: number, { message, details }: Outgoing): Status {
  return create(StatusSchema, {
    code,
    message,
    details: details.map(({ desc, value }) => anyPack(desc, create(desc, value))),
  });
}

function fitting(violations: readonly Violation[], total: number, room: number): Violation[] {
  const more = (count: number): Violation => ({
    field: "",
    description: `and ${count} more ${count === 1 ? "fault" : "faults"}, not listed`,
  });
  let left = room - sizeOf(more(total)) - BadRequestSchema.typeName.length - 2 * FRAME_BYTES - PREFIX_BYTES;
  const listed: Violation[] = [];
  for (const { field, description } of violations) {
    const violation = {
      field: outgoingText(field, MAX_PART_BYTES),
      description: outgoingText(description, MAX_PART_BYTES),
    };
    left -= sizeOf(violation);
    if (left < 0) break;
    listed.push(violation);
  }
  return listed.length === total ? listed : [...listed, more(total - listed.length)];
}

/** `type.googleapis.com/`, which stands before every detail's name. */
const PREFIX_BYTES = 20;

function sizeOf({ field, description }: Violation): number {
  return Buffer.byteLength(field) + Buffer.byteLength(description) + FRAME_BYTES;
}

function detailBytes(message: string, details: readonly Detail[]): number {
  return toBinary(StatusSchema, outgoingStatus(0, { message, details })).byteLength + FRAME_BYTES;
}

/** As gRPC percent-encodes a message. */
function encodedBytes(text: string): number {
  let bytes = 0;
  for (const byte of Buffer.from(text)) bytes += byte >= 0x20 && byte <= 0x7e && byte !== PERCENT ? 1 : 3;
  return bytes;
}

const PERCENT = 0x25;

// Line breaks and tabs are text.
// biome-ignore lint/suspicious/noControlCharactersInRegex: the pattern removes them
const CONTROLS = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f]/g;
