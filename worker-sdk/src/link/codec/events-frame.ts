/** Encodes lifecycle events field by field, which saves the message objects of each. */
import { BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import { TaskEventSchema, TaskEventsSchema, WorkerMessageSchema } from "@muster/protocol";
import type { LoggedEvent } from "../outbox/in-flight.ts";

const SINGLE_TAG = WorkerMessageSchema.field.taskEvent.number;
const MANY_TAG = WorkerMessageSchema.field.taskEvents.number;
const EVENT_TAG = TaskEventsSchema.field.events.number;
const EVENT = TaskEventSchema.field;

/** A lifecycle event as a WorkerMessage of its own. */
export function encodeEvent(attemptId: string, event: LoggedEvent): Uint8Array {
  const writer = new BinaryWriter().tag(SINGLE_TAG, WireType.LengthDelimited).fork();
  return writeEvent(writer, attemptId, event).join().finish();
}

/** A WorkerMessage of TaskEvents under construction. */
export class EventsFrame {
  readonly #writer = new BinaryWriter().tag(MANY_TAG, WireType.LengthDelimited).fork();
  #bytes = 0;

  /** About how long it is so far. */
  get bytes(): number {
    return this.#bytes;
  }

  add(attemptId: string, event: LoggedEvent): void {
    writeEvent(this.#writer.tag(EVENT_TAG, WireType.LengthDelimited).fork(), attemptId, event).join();
    this.#bytes += sizeOf(event);
  }

  /** The encoded WorkerMessage; nothing may be added after it. */
  finish(): Uint8Array {
    return this.#writer.join().finish();
  }
}

function writeEvent(writer: BinaryWriter, attemptId: string, event: LoggedEvent): BinaryWriter {
  const { sequence, name, elapsedMs, attributes } = event;
  const micros = Math.round(elapsedMs * 1000);
  const seconds = Math.trunc(micros / 1e6);
  writer.tag(EVENT.attemptId.number, WireType.LengthDelimited).string(attemptId);
  writer.tag(EVENT.sequence.number, WireType.Varint).int64(sequence);
  writer.tag(EVENT.name.number, WireType.LengthDelimited).string(name);
  writer.tag(EVENT.elapsed.number, WireType.LengthDelimited).fork();
  if (seconds > 0) writer.tag(1, WireType.Varint).int64(seconds);
  writer
    .tag(2, WireType.Varint)
    .int32((micros - seconds * 1e6) * 1000)
    .join();
  for (const key in attributes) {
    writer.tag(EVENT.attributes.number, WireType.LengthDelimited).fork();
    writer.tag(1, WireType.LengthDelimited).string(key);
    writer
      .tag(2, WireType.LengthDelimited)
      .string(attributes[key] ?? "")
      .join();
  }
  return writer;
}

/** Approximate bytes: a UTF-16 unit of text counts as one. */
function sizeOf({ name, attributes }: LoggedEvent): number {
  let size = name.length + 48;
  for (const key in attributes) size += key.length + (attributes[key]?.length ?? 0) + 8;
  return size;
}
