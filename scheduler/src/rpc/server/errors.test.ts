import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { fromBinary } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { status } from "@grpc/grpc-js";
import { ErrorInfoSchema, RetryInfoSchema, STATUS_DETAILS_TRAILER, StatusSchema } from "@muster/protocol";
import { DatabaseUnavailableError, Refusal } from "../../domain/errors.ts";
import { isInternal, toConnectError, toGrpcError } from "./errors.ts";

describe("errors", () => {
  const refused = new Refusal("exhausted", "QUEUE_FULL", "the queue is full", {
    retryDelayMs: 1_500,
    violations: [{ field: "tasks", description: "too many" }],
  });

  it("are the same over gRPC and Connect: code, reason, delay, violations", () => {
    const grpc = toGrpcError(refused);
    assert.equal(grpc.code, status.RESOURCE_EXHAUSTED);
    const [encoded] = grpc.metadata.get(STATUS_DETAILS_TRAILER);
    assert.ok(Buffer.isBuffer(encoded));
    const { code, message, details } = fromBinary(StatusSchema, encoded);
    assert.deepEqual([code, message], [status.RESOURCE_EXHAUSTED, "the queue is full"]);
    assert.deepEqual(
      details.map(({ typeUrl }) => typeUrl.split("/").at(-1)),
      ["google.rpc.ErrorInfo", "google.rpc.RetryInfo", "google.rpc.BadRequest"],
    );
    const connect = toConnectError(refused);
    assert.equal(connect.code, Code.ResourceExhausted);
    assert.equal(connect.findDetails(ErrorInfoSchema)[0]?.reason, "QUEUE_FULL");
    assert.equal(connect.findDetails(RetryInfoSchema)[0]?.retryDelay?.nanos, 500_000_000);
  });

  it("say that the database is away, and whether the request may have been applied", () => {
    for (const unknown of [true, false]) {
      const error = new DatabaseUnavailableError("gone", unknown, undefined);
      assert.ok(!isInternal(error));
      const told = toGrpcError(error);
      assert.equal(told.code, status.UNAVAILABLE);
      assert.match(told.details ?? "", unknown ? /not known whether/ : /nothing was applied/);
    }
  });

  it("keep what is inside inside", () => {
    for (const error of [new TypeError("secret"), "secret", undefined]) {
      assert.ok(isInternal(error));
      assert.equal(toGrpcError(error).code, status.INTERNAL);
      assert.ok(
        !JSON.stringify([toGrpcError(error).details, toConnectError(error).message]).includes("secret"),
      );
    }
    const own = new ConnectError("x", Code.Canceled);
    assert.equal(toConnectError(own), own);
    assert.ok(!isInternal(own));
  });
});
