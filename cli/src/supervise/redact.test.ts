import assert from "node:assert/strict";
import { test } from "node:test";
import { Redactor } from "./redact.ts";

test("masks what sounds secret in a command, and nothing else", () => {
  const redactor = new Redactor({});
  const cases: [string[], string][] = [
    [["node", "worker.js", "--port", "80"], "node worker.js --port 80"],
    [["x", "--token", "abc", "--verbose"], "x --token [redacted] --verbose"],
    [["x", "--token", "--verbose"], "x --token --verbose"],
    [["x", "--api-key=abc", "PASSWORD=q"], "x --api-key=[redacted] PASSWORD=[redacted]"],
    [["x", "redis://u:pw@h/0"], "x redis://u:[redacted]@h/0"],
    [["curl", "-H", "Authorization: Bearer abcdefgh"], 'curl -H "Authorization: Bearer [redacted]"'],
    [["sh", "-c", "a b"], 'sh -c "a b"'],
  ];
  for (const [argv, shown] of cases) assert.equal(redactor.command(argv), shown);
});

test("masks the values of secret variables wherever they turn up", () => {
  const redactor = new Redactor({
    MUSTER_TOKEN: "s3cr3t-value",
    AWS_SECRET_ACCESS_KEY: "s3cr3t-value-longer",
    DATABASE_URL: "postgres://u:longpassword@h/d",
    SHORT_TOKEN: "on",
    HOME: "/home/user",
  });
  assert.equal(
    redactor.text("s3cr3t-value s3cr3t-value-longer longpassword on /home/user"),
    "[redacted] [redacted] [redacted] on /home/user",
  );
});
