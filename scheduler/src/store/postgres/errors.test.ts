import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { DatabaseUnavailableError } from "../../domain/errors.ts";
import { isConflict, poisonsConnection, translateError } from "./errors.ts";

const withCode = (code: string) => Object.assign(new Error(`code ${code}`), { code });

describe("errors of the database", () => {
  it("are conflicts when nothing was applied and trying again is right", () => {
    for (const code of ["40001", "40P01"]) assert.ok(isConflict(withCode(code)));
    for (const error of [withCode("23505"), withCode("57P01"), new Error("x"), undefined, "40001"])
      assert.ok(!isConflict(error));
  });

  it("are an absence when another connection may work", () => {
    for (const code of [
      "08006",
      "08P01",
      "57P01",
      "57P02",
      "57P03",
      "53300",
      "25006",
      "ECONNREFUSED",
      "ECONNRESET",
    ]) {
      const error = withCode(code);
      assert.ok(poisonsConnection(error), code);
      const translated = translateError(error, true);
      assert.ok(translated instanceof DatabaseUnavailableError, code);
      assert.equal(translated.cause, error);
      assert.ok(translated.message.includes(code));
    }
    for (const message of ["Connection terminated unexpectedly", "timeout exceeded when trying to connect"])
      assert.ok(translateError(new Error(message), true) instanceof DatabaseUnavailableError, message);
    const both = new AggregateError([withCode("ECONNREFUSED"), withCode("ECONNREFUSED")]);
    assert.ok(translateError(both, false) instanceof DatabaseUnavailableError);
  });

  it("leave the outcome unknown only when a statement was under way and may have been committed", () => {
    const unknown = (error: unknown, sent: boolean) => {
      const translated = translateError(error, sent);
      return translated instanceof DatabaseUnavailableError && translated.outcomeUnknown;
    };
    assert.equal(unknown(withCode("57P01"), true), true);
    assert.equal(unknown(new Error("Connection terminated unexpectedly"), true), true);
    assert.equal(unknown(withCode("57P01"), false), false);
    for (const code of ["25006", "25P03", "53300", "57014", "57P03"])
      assert.equal(unknown(withCode(code), true), false, code);
  });

  it("come back unchanged when they are our fault", () => {
    for (const error of [
      withCode("23505"),
      withCode("42601"),
      withCode("22P05"),
      new TypeError("x"),
      "text",
    ]) {
      assert.equal(translateError(error, true), error);
      assert.ok(!poisonsConnection(error));
    }
    const translated = new DatabaseUnavailableError("x", true, undefined);
    assert.equal(translateError(translated, false), translated, "and once translated, as they are");
  });
});
