/** Decodes frequent results by hand. */
import { fromBinary } from "@bufbuild/protobuf";
import { BinaryReader } from "@bufbuild/protobuf/wire";
import {
  AttemptMetricsSchema,
  assertEnd,
  lengthDelimited,
  readEnd,
  SucceededSchema,
  type TaskResult,
  TaskResultSchema,
  TaskResultsSchema,
  varint,
  WorkerMessageSchema,
} from "@muster/protocol";

/** A success without warnings and phases, as nearly all results are. */
export interface PlainSuccess {
  readonly attemptId: string;
  readonly output: Uint8Array;
  readonly contentType: string;
  readonly runMs: number;
  readonly peakRssBytes: number;
}

/** A WorkerMessage of TaskResults, as far as its reader needs one. */
export interface ResultsFrame {
  readonly kind: {
    readonly case: "taskResults";
    readonly value: { readonly results: readonly (PlainSuccess | TaskResult)[] };
  };
}

const NOTHING = new Uint8Array();

const RESULTS = lengthDelimited(WorkerMessageSchema.field.taskResults);
const RESULT = lengthDelimited(TaskResultsSchema.field.results);
const ATTEMPT_ID = lengthDelimited(TaskResultSchema.field.attemptId);
const SUCCEEDED = lengthDelimited(TaskResultSchema.field.succeeded);
const METRICS = lengthDelimited(TaskResultSchema.field.metrics);
const OUTPUT = lengthDelimited(SucceededSchema.field.output);
const CONTENT_TYPE = lengthDelimited(SucceededSchema.field.contentType);
const RUN_DURATION = lengthDelimited(AttemptMetricsSchema.field.runDuration);
const PEAK_RSS_BYTES = varint(AttemptMetricsSchema.field.peakRssBytes);
const SECONDS = varint({ number: 1 });
const NANOS = varint({ number: 2 });

/**
 * Reads a frame of TaskResults field by field, which spares the five message objects of every plain success: 0.19
 * instead of 0.55 µs each. A result of any other form is read by the generated decoder; undefined when the message
 * is not of this kind.
 *
 * @throws Error for bytes that are no valid message, as the generated decoder does.
 */
export function readResultsFrame(bytes: Uint8Array): ResultsFrame | undefined {
  if (bytes.byteLength === 0) return undefined;
  const reader = new BinaryReader(bytes);
  if (reader.uint32() !== RESULTS) return undefined;
  const end = readEnd(reader, bytes.byteLength);
  if (end !== bytes.byteLength) return undefined;
  const results: (PlainSuccess | TaskResult)[] = [];
  while (reader.pos < end) {
    if (reader.uint32() !== RESULT) return undefined;
    const resultEnd = readEnd(reader, end);
    const start = reader.pos;
    results.push(
      readPlain(reader, resultEnd) ?? fromBinary(TaskResultSchema, bytes.subarray(start, resultEnd)),
    );
    reader.pos = resultEnd;
  }
  return { kind: { case: "taskResults", value: { results } } };
}

/** Undefined when anything is in it that a plain success has not. */
function readPlain(reader: BinaryReader, end: number): PlainSuccess | undefined {
  let attemptId = "";
  let succeeded = false;
  let measured = false;
  let output: Uint8Array = NOTHING;
  let contentType = "";
  let runMs: number | undefined;
  let peakRssBytes = 0;
  while (reader.pos < end) {
    switch (reader.uint32()) {
      case ATTEMPT_ID:
        attemptId = reader.string(true);
        break;
      case SUCCEEDED: {
        succeeded = true;
        const inner = readEnd(reader, end);
        while (reader.pos < inner) {
          const tag = reader.uint32();
          if (tag === OUTPUT) output = reader.bytes();
          else if (tag === CONTENT_TYPE) contentType = reader.string(true);
          else return undefined;
        }
        assertEnd(reader, inner);
        break;
      }
      case METRICS: {
        measured = true;
        const inner = readEnd(reader, end);
        while (reader.pos < inner) {
          const tag = reader.uint32();
          if (tag === PEAK_RSS_BYTES) peakRssBytes = Number(reader.int64());
          else if (tag !== RUN_DURATION || runMs !== undefined) return undefined;
          else {
            runMs = readMs(reader, readEnd(reader, inner));
            if (runMs === undefined) return undefined;
          }
        }
        assertEnd(reader, inner);
        break;
      }
      default:
        return undefined;
    }
  }
  assertEnd(reader, end);
  if (!succeeded || !measured) return undefined;
  return { attemptId, output, contentType, runMs: runMs ?? 0, peakRssBytes };
}

function readMs(reader: BinaryReader, end: number): number | undefined {
  let seconds = 0;
  let nanos = 0;
  while (reader.pos < end) {
    const tag = reader.uint32();
    if (tag === SECONDS) seconds = Number(reader.int64());
    else if (tag === NANOS) nanos = reader.int32();
    else return undefined;
  }
  assertEnd(reader, end);
  return seconds * 1_000 + nanos / 1e6;
}
