import assert from "node:assert/strict";
import { test } from "node:test";
import { silentLogger } from "../logging/logger.ts";
import { compileOptions } from "../options/options.ts";
import { startFacts } from "./lifecycle-log.ts";
import { logLinkMessage } from "./link-log.ts";

test("a failed dial at the default address says that no address is set", () => {
  const lines: { fields: object; message: string | undefined }[] = [];
  const log = {
    ...silentLogger,
    warn: (fields: object, message?: string) => lines.push({ fields, message }),
  };
  const failed = { kind: "disconnected", address: "127.0.0.1:7070", error: "refused", retryInMs: 1 } as const;
  const facts = (options: { scheduler?: string }, env = {}) =>
    startFacts(compileOptions({ tasks: { t: () => 1 }, ...options }, env));
  logLinkMessage(log, failed, facts({}));
  logLinkMessage(log, failed, facts({ scheduler: "127.0.0.1:7070" }));
  logLinkMessage(log, failed, facts({}, { MUSTER_SCHEDULER_ADDR: "127.0.0.1:7070" }));
  assert.deepEqual(
    lines.map(({ fields, message }) => [
      Object(fields).scheduler_addr_source,
      message?.includes("MUSTER_SCHEDULER_ADDR is not set"),
    ]),
    [
      ["default", true],
      [undefined, false],
      [undefined, false],
    ],
  );
});
