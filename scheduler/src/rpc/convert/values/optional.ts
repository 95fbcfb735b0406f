// Optional fields of messages: absent when there is no value.
import { timestampFromDate } from "./time.ts";

/** `{ [name]: value }`, or nothing when there is no value: optional fields must be absent, not undefined. */
export function optional<K extends string, V>(name: K, value: V | undefined): { [P in K]?: V } {
  return value === undefined ? {} : ({ [name]: value } as { [P in K]: V });
}

/** The same for a moment. */
export function optionalTime<K extends string>(name: K, date: Date | undefined) {
  return optional(name, date && timestampFromDate(date));
}
