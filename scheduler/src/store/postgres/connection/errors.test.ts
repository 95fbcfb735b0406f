import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { DATABASE_CONDITIONS, type DatabaseCondition } from "../../../domain/database/database-condition.ts";
import {
  DatabaseUnavailableError,
  isAbsence,
  mayBeOfRows,
  StatementRefusedError,
  StatementTimeoutError,
  UnstorableError,
} from "../../../domain/errors.ts";
import { codeOf, isConflict, poisonsConnection, translateError } from "./errors.ts";

const withCode = (code: string, more: object = {}) =>
  Object.assign(new Error(`code ${code}`), { code, ...more });

/** As the server answers a statement, and as it ends a session. */
const answered = (code: string, more: object = {}) => withCode(code, { severity: "ERROR", ...more });
const fatal = (code: string) => withCode(code, { severity: "FATAL" });

/** What the driver and Node throw, and what the scheduler makes of it. */
const AWAY: readonly (readonly [Error, DatabaseCondition])[] = [
  [fatal("28000"), "login_refused"],
  [fatal("28P01"), "password_refused"],
  [fatal("3D000"), "no_database"],
  [fatal("53300"), "too_many_connections"],
  [fatal("57P01"), "session_ended"],
  [fatal("57P02"), "starting"],
  [fatal("57P03"), "starting"],
  [fatal("57P04"), "no_database"],
  [fatal("57P05"), "session_ended"],
  [fatal("25P03"), "session_ended"],
  [fatal("25P04"), "session_ended"],
  [fatal("08P01"), "pooler"],
  [Object.assign(fatal("08P01"), { message: "unsupported startup parameter: options" }), "startup_parameter"],
  [fatal("XX000"), "pooler"],
  [answered("08006"), "unreachable"],
  [answered("25006"), "read_only"],
  [answered("25P02"), "session_ended"],
  [answered("53100"), "disk_full"],
  [withCode("ECONNREFUSED"), "unreachable"],
  [withCode("ECONNRESET"), "unreachable"],
  [withCode("EPIPE"), "unreachable"],
  [withCode("ENOENT"), "unreachable"],
  [withCode("EACCES"), "unreachable"],
  [withCode("ETIMEDOUT"), "unreachable"],
  [withCode("EHOSTUNREACH"), "unreachable"],
  [withCode("ENOTFOUND"), "unknown_host"],
  [withCode("EAI_AGAIN"), "unknown_host"],
  [withCode("ETIMEOUT"), "unknown_host"],
  [withCode("EMFILE"), "out_of_descriptors"],
  [withCode("ENFILE"), "out_of_descriptors"],
  [withCode("EADDRNOTAVAIL"), "out_of_sockets"],
  [withCode("CERT_HAS_EXPIRED"), "certificate"],
  [withCode("DEPTH_ZERO_SELF_SIGNED_CERT"), "certificate"],
  [withCode("SELF_SIGNED_CERT_IN_CHAIN"), "certificate"],
  [withCode("UNABLE_TO_VERIFY_LEAF_SIGNATURE"), "certificate"],
  [withCode("ERR_TLS_CERT_ALTNAME_INVALID"), "certificate"],
  [withCode("ERR_SSL_WRONG_VERSION_NUMBER"), "certificate"],
  [withCode("EPROTO"), "certificate"],
  [withCode("ETOMORROW"), "unreachable"],
  [new Error("The server does not support SSL connections"), "certificate"],
  [new Error("SASL: SCRAM-SERVER-FIRST-MESSAGE: client password must be a string"), "password_refused"],
  [new Error("Connection terminated unexpectedly"), "unreachable"],
  [new Error("timeout exceeded when trying to connect"), "silent"],
  [new Error("Query read timeout"), "silent"],
  [new Error("an error without a code"), "unreachable"],
];

/** Answers to one statement: the database is there, and others may work. */
const REFUSED: readonly (readonly [Error, DatabaseCondition])[] = [
  [answered("0A000"), "refused"],
  [answered("23514"), "refused"], // no partition of relation "event" found for row: no constraint is named
  [answered("22023"), "refused"],
  [answered("2200H"), "refused"],
  [answered("42501"), "no_permission"],
  [answered("42601"), "refused"],
  [answered("42703"), "schema"],
  [answered("42P01"), "schema"],
  [answered("53200"), "out_of_memory"],
  [answered("53400"), "refused"],
  [answered("54001"), "refused"],
  [answered("55000"), "refused"],
  [answered("55P03"), "locked"],
  [answered("58030"), "damaged"],
  [answered("P0001"), "refused"],
  [answered("XX000"), "pooler"],
  [answered("XX001"), "damaged"],
  [answered("ZZ999"), "refused"],
  [withCode("42501", { severity: "FEHLER" }), "no_permission"],
];

const UNSTORABLE: readonly Error[] = [
  ...["22001", "22003", "22007", "22008", "22021", "22P02", "22P05", "22032"].map((code) => answered(code)),
  answered("23502", { column: "detail" }),
  answered("23505", { constraint: "task_finished_pkey" }),
  answered("23514", { constraint: "task_finished_state_check" }),
];

describe("errors of the database", () => {
  it("are conflicts when nothing was applied and trying again is right", () => {
    for (const code of ["40001", "40P01"]) assert.ok(isConflict(withCode(code)));
    for (const error of [withCode("23505"), withCode("57P01"), new Error("x"), undefined, "40001"])
      assert.ok(!isConflict(error));
  });

  it("are an absence, in words, when the database or the way to it is the matter", () => {
    for (const [error, condition] of AWAY) {
      const translated = translateError(error, true);
      assert.ok(translated instanceof DatabaseUnavailableError && isAbsence(translated), error.message);
      assert.equal(translated.condition, condition, error.message);
      assert.equal(translated.cause, error);
      assert.ok(
        translated.message.startsWith(`the database cannot be used: ${DATABASE_CONDITIONS[condition].says}`),
      );
      assert.ok(translated.message.includes(error.message));
      assert.ok(!mayBeOfRows(translated), error.message);
    }
    const both = new AggregateError([withCode("ECONNREFUSED"), withCode("ECONNREFUSED")]);
    const translated = translateError(both, false);
    assert.ok(translated instanceof DatabaseUnavailableError);
    assert.match(translated.message, /code ECONNREFUSED \(ECONNREFUSED\)$/);
  });

  it("say so when a statement was refused and others may work", () => {
    for (const [error, condition] of REFUSED) {
      const translated = translateError(error, true);
      assert.ok(translated instanceof StatementRefusedError, error.message);
      assert.equal(translated.condition, condition, error.message);
      assert.ok(!translated.outcomeUnknown, "the server said that it was not applied");
      assert.ok(!isAbsence(translated), "no other part reports it");
      assert.equal(codeOf(translated), codeOf(error));
    }
    assert.ok(translateError(answered("57014"), true) instanceof StatementTimeoutError);
  });

  it("T5, T6: condemn a row only by codes that are known to be its data's", () => {
    for (const error of UNSTORABLE) {
      assert.ok(translateError(error, true) instanceof UnstorableError, error.message);
      assert.ok(!poisonsConnection(error), error.message);
    }
    const known = new Set(UNSTORABLE.map(codeOf));
    const digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ";
    let condemned = 0;
    // Every subclass of every class, and then what no version of PostgreSQL has: an unknown code is no verdict.
    for (const first of digits)
      for (const second of digits)
        for (const rest of ["000", "001", "100", "P01", "ZZZ", "0ZZ", "999"]) {
          const code = `${first}${second}${rest}`;
          const error = answered(code, { constraint: undefined });
          if (!(translateError(error, true) instanceof UnstorableError)) continue;
          condemned++;
          assert.ok(code.startsWith("22"), code);
          assert.ok(known.has(code) || ["22000", "22P01"].includes(code), code);
        }
    assert.ok(condemned >= 2);
  });

  it("leave the outcome unknown only when a statement was under way and may have been committed", () => {
    const unknown = (error: unknown, sent: boolean) => {
      const translated = translateError(error, sent);
      return translated instanceof DatabaseUnavailableError && translated.outcomeUnknown;
    };
    for (const error of [fatal("57P01"), fatal("XX000"), new Error("Connection terminated unexpectedly")]) {
      assert.equal(unknown(error, true), true, error.message);
      assert.equal(unknown(error, false), false, error.message);
    }
    assert.equal(unknown(withCode("57P01"), true), true);
    for (const code of ["25006", "25P03", "53300", "57014", "57P03", "28000"])
      assert.equal(unknown(withCode(code), true), false, code);
  });

  it("keep a connection only when it is as good as before", () => {
    for (const [error] of AWAY)
      assert.equal(poisonsConnection(error), codeOf(error) !== "53100", error.message);
    for (const code of ["42501", "55P03", "53200", "P0001", "57014"])
      assert.equal(poisonsConnection(answered(code)), code === "57014", code);
    for (const code of ["0A000", "XX000", "XX001", "26000"])
      assert.ok(poisonsConnection(answered(code)), code);
  });

  it("come back unchanged when they are this program's", () => {
    for (const error of [new TypeError("x"), new RangeError("x"), withCode("40001"), "text"]) {
      assert.equal(translateError(error, true), error);
      assert.ok(!poisonsConnection(error));
    }
    const translated = new DatabaseUnavailableError("x", true, undefined);
    assert.equal(translateError(translated, false), translated, "and once translated, as they are");
  });
});
