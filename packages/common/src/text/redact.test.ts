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

test("T38: a name that only contains a word of secrets masks nothing", () => {
  const ordinary = {
    MAX_TOKENS: "4096",
    MAX_NEW_TOKENS: "many-of-them",
    TOKENIZERS_PARALLELISM: "sequential",
    TOKENIZER_PATH: "models/tokenizer",
    TOKEN_LIMIT: "unlimited",
    TOKEN_FILE: "tokens/of-mine",
    KEY: "ordinary-value",
    SORT_KEY: "created_time",
    KEYBOARD: "de-nodeadkeys",
    GIT_AUTHOR_NAME: "Ada Lovelace",
    SSH_AUTH_SOCK: "agent-socket-1",
    PRIVATE_NETWORK: "10.0.0.0/8-net",
    PASSENGERS: "some-passengers",
    COMPASS_MODE: "northward",
    PWD: "/srv/worker-folder",
    GOOGLE_APPLICATION_CREDENTIALS: "/etc/gcp/account.json",
    ACCESS_TOKEN_TTL: "one-whole-hour",
    USE_AUTH: "true",
    PASSWORD_LENGTH: "12345678",
  };
  const text = Object.values(ordinary).join(" ");
  assert.equal(new Redactor(ordinary).text(text), text);
  for (const [name, value] of Object.entries(ordinary)) {
    if (value.includes(" ") || name === "PWD") continue;
    assert.equal(new Redactor({}).command(["x", `${name}=${value}`]), `x ${name}=${value}`);
  }
  assert.equal(new Redactor({}).command(["x", "--max-tokens", "4096"]), "x --max-tokens 4096");
});

test("T38: secrets are masked by whatever name they have, and short ones not in other words", () => {
  const names = [
    "HF_TOKEN",
    "NPM_TOKEN_CI",
    "DB_PASSWORD",
    "dbPassword",
    "OPENAI_API_KEY",
    "STRIPE_SECRET_KEY",
  ];
  for (const name of [...names, "AWS_ACCESS_KEY_ID", "REDIS_AUTH", "SMTP_PASS", "APIKEY", "AUTH_TOKENS"]) {
    assert.equal(new Redactor({ [name]: "value-of-it" }).text("a value-of-it b"), "a [redacted] b", name);
  }
  const redactor = new Redactor({ DB_PASSWORD: "postgres", PIN_SECRET: "abc", API_TOKEN: "true" });
  assert.equal(redactor.text("postgresql abc true (postgres)"), "postgresql abc true ([redacted])");
});

test("takes no longer for long words than for others", () => {
  const text = "x".repeat(1_000_000);
  const before = process.cpuUsage();
  assert.equal(new Redactor({}).text(text), text);
  const { user } = process.cpuUsage(before);
  // 5 ms; without bounds in the patterns it would be hours.
  assert.ok(user < 2_000_000, `${user} us`);
});
