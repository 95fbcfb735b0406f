import assert from "node:assert/strict";
import { test } from "node:test";
import { Code } from "@connectrpc/connect";
import { exitCodeOf } from "./status-exit-code.ts";

test("every gRPC status has its exit code", () => {
  const byExitCode = Map.groupBy(
    Object.values(Code).filter((code) => typeof code === "number"),
    (code) => exitCodeOf(code),
  );
  const named = [...byExitCode].map(([exitCode, codes]) => [
    exitCode,
    codes.map((code) => Code[code]).sort(),
  ]);
  assert.deepEqual(
    named.sort(([a], [b]) => Number(a) - Number(b)),
    [
      [1, ["Canceled", "DataLoss", "Internal", "Unknown"]],
      [3, ["NotFound"]],
      [
        4,
        [
          "Aborted",
          "AlreadyExists",
          "FailedPrecondition",
          "InvalidArgument",
          "OutOfRange",
          "PermissionDenied",
          "ResourceExhausted",
          "Unauthenticated",
          "Unimplemented",
        ],
      ],
      [5, ["DeadlineExceeded", "Unavailable"]],
    ],
  );
});
