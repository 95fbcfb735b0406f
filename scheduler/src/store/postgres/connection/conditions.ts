/** Assigns errors of PostgreSQL to conditions. */
import type { DatabaseCondition } from "../../../domain/database/database-condition.ts";

// Codes that are not listed are still errors of the database; the lists only choose the message.

/** By SQLSTATE. */
const STATES: Readonly<Record<string, DatabaseCondition>> = {
  "08P01": "pooler", // protocol_violation: what poolers answer
  "25006": "read_only",
  "25P02": "session_ended",
  "25P03": "session_ended",
  "25P04": "session_ended",
  "26000": "pooler", // a prepared statement of another session
  "28000": "login_refused",
  "28P01": "password_refused",
  "3D000": "no_database",
  "3F000": "schema",
  "42501": "no_permission",
  "42703": "schema",
  "42P01": "schema",
  "42P05": "pooler",
  "42883": "schema",
  "53100": "disk_full",
  "53200": "out_of_memory",
  "53300": "too_many_connections",
  "55P03": "locked",
  "57014": "cancelled",
  "57P01": "session_ended",
  "57P02": "starting",
  "57P03": "starting",
  "57P04": "no_database",
  "57P05": "session_ended",
  "58000": "damaged",
  "58030": "damaged",
  "58P01": "damaged",
  XX000: "pooler",
  XX001: "damaged",
  XX002: "damaged",
};

/** By the code of the operating system or of Node. */
const SYSTEM: Readonly<Record<string, DatabaseCondition>> = {
  EAI_AGAIN: "unknown_host",
  ENOTFOUND: "unknown_host",
  ETIMEOUT: "unknown_host", // of the name service; a connection's is ETIMEDOUT
  ESERVFAIL: "unknown_host",
  EMFILE: "out_of_descriptors",
  ENFILE: "out_of_descriptors",
  EADDRNOTAVAIL: "out_of_sockets",
  ENOBUFS: "out_of_sockets",
  ENOMEM: "out_of_sockets",
  ECONNREFUSED: "unreachable",
  ECONNRESET: "unreachable",
  EPROTO: "certificate",
};

const CERTIFICATE =
  /^(ERR_(SSL|TLS|OSSL)|CERT_|UNABLE_TO_|DEPTH_ZERO|SELF_SIGNED|HOSTNAME_MISMATCH|INVALID_(CA|PURPOSE)|CRL_|ERROR_IN_C)/;

/** Errors of the driver, which have no code. */
const MESSAGES: readonly (readonly [RegExp, DatabaseCondition])[] = [
  [/^channel_binding=require/, "certificate"],
  [/does not support SSL|There was an error establishing an SSL connection/i, "certificate"],
  [/SASL|password must be a string|password/i, "password_refused"],
  [/Query read timeout|timeout expired|timeout exceeded when trying to connect/i, "silent"],
];

/** The server's message when a file cannot be created or extended. */
const NO_SPACE = /No space left on device|Disk quota exceeded/i;

/** PgBouncer's error for an unsupported parameter; many other errors have the same SQLSTATE. */
const STARTUP_PARAMETER = /unsupported startup parameter/i;

/** The condition of an error. @param code SQLSTATE or a system's code; empty when there is none. */
export function conditionOf(code: string, message: string): DatabaseCondition {
  if (NO_SPACE.test(message) || code === "ENOSPC" || code === "EDQUOT") return "disk_full";
  if (STARTUP_PARAMETER.test(message)) return "startup_parameter";
  const known = STATES[code] ?? SYSTEM[code];
  if (known) return known;
  if (isSqlState(code)) {
    if (code.startsWith("08")) return "unreachable";
    if (code.startsWith("28")) return "login_refused";
    if (code.startsWith("58")) return "damaged";
    return "refused";
  }
  if (CERTIFICATE.test(code)) return "certificate";
  if (code !== "") return "unreachable";
  return MESSAGES.find(([pattern]) => pattern.test(message))?.[1] ?? "unreachable";
}

/** True for an SQLSTATE, five letters and digits; false for system codes like EPERM. */
export function isSqlState(code: string): boolean {
  return /^[0-9A-Z]{5}$/.test(code) && (/[0-9]/.test(code) || !code.startsWith("E"));
}
