import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { fromBinary, toBinary } from "@bufbuild/protobuf";
import { BadRequestSchema, STATUS_DETAILS_TRAILER, StatusSchema } from "@muster/protocol";
import fc from "fast-check";
import { Refusal } from "../../domain/errors.ts";
import { toConnectError, toGrpcError, toStatus } from "./errors.ts";
import { MAX_REFUSAL_BYTES, outgoingText } from "./outgoing.ts";

/** Half characters, controls, what takes 12 bytes as `grpc-message`, and lengths around every limit. */
const texts = fc.oneof(
  fc.string({ unit: "binary", maxLength: 40 }),
  fc
    .tuple(fc.constantFrom("x", "\u{1F600}", "\ud83d", "漢", "\0", "%"), fc.nat(6_000))
    .map(([unit, count]) => unit.repeat(count)),
);

describe("T1, T14: what leaves", () => {
  it("is whole characters within the limit, as gRPC and as Connect send it", () => {
    const violations = fc.array(fc.record({ field: texts, description: texts }), { maxLength: 60 });
    fc.assert(
      fc.property(texts, violations, fc.nat(1_000), (message, listed, more) => {
        const refusal = new Refusal("invalid", "INVALID_TASK", message, {
          violations: listed,
          violationCount: listed.length + more,
          retryDelayMs: 1,
        });
        const { details: told = "", metadata } = toGrpcError(refusal);
        assert.ok(told.isWellFormed());
        const [trailer] = metadata.get(STATUS_DETAILS_TRAILER);
        assert.ok(Buffer.isBuffer(trailer));
        const bytes = encodeURI(told).length + trailer.toString("base64").length;
        assert.ok(bytes <= MAX_REFUSAL_BYTES, `${bytes} bytes`);
        // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what must not be there
        assert.doesNotMatch(told, /[\0-\x08\x0b\x0c\x0e-\x1f]/);
        assert.equal(toConnectError(refusal).rawMessage, told);
        assert.ok(trailer.equals(toBinary(StatusSchema, toStatus(refusal))));
      }),
      { numRuns: 300 },
    );
  });

  it("lists the first violations and how many there are besides", () => {
    const violations = Array.from({ length: 50 }, (_, n) => ({
      field: `tasks[${n}].type`,
      description: `"${"é".repeat(140)}" is not a name`,
    }));
    const { details } = toStatus(
      new Refusal("invalid", "INVALID_TASK", "tasks[0].type is not a name (and 59 more)", {
        violations,
        violationCount: 60,
      }),
    );
    const bad = details.find(({ typeUrl }) => typeUrl.endsWith(BadRequestSchema.typeName));
    const told = fromBinary(BadRequestSchema, bad?.value ?? new Uint8Array()).fieldViolations;
    const listed = told.slice(0, -1);
    assert.ok(listed.length >= 3, `${listed.length} are listed`);
    assert.deepEqual(
      listed.map(({ field }) => field),
      violations.slice(0, listed.length).map(({ field }) => field),
    );
    assert.equal(told.at(-1)?.description, `and ${60 - listed.length} more faults, not listed`);
  });

  it("keeps what is short as it is, line breaks included", () => {
    for (const text of ["", "no such task", "a\nb\tc", "ünï %20 \u{1F600}"])
      assert.equal(outgoingText(text), text);
    assert.equal(outgoingText("x".repeat(1_024)), "x".repeat(1_024));
    assert.equal(outgoingText("x".repeat(1_025)), `${"x".repeat(1_021)}...`);
    assert.equal(outgoingText("a\u001b[31m"), "a\u{FFFD}[31m");
  });
});
