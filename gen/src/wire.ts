/** Reads and writes fields in protobuf's wire format. */
import { type BinaryReader, WireType } from "@bufbuild/protobuf/wire";

/** Tag of a field of text, bytes or a message. */
export function lengthDelimited({ number }: { readonly number: number }): number {
  return (number << 3) | WireType.LengthDelimited;
}

/** Tag of a field of whole numbers or a boolean. */
export function varint({ number }: { readonly number: number }): number {
  return (number << 3) | WireType.Varint;
}

/**
 * Reads a message's length; answers where it ends.
 *
 * @param limit Where the message around it ends.
 * @throws RangeError when it ends after that.
 */
export function readEnd(reader: BinaryReader, limit: number): number {
  const size = reader.uint32();
  const end = reader.pos + size;
  if (end > limit) throw new RangeError("a message is longer than what it is part of");
  return end;
}

/** @throws RangeError when what was read last went beyond the end of its message. */
export function assertEnd(reader: BinaryReader, end: number): void {
  if (reader.pos !== end) throw new RangeError("a field is longer than the message that it is part of");
}
