import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { closeSync, constants, mkdtempSync, openSync, readSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { LogOutput } from "./log-output.ts";

const { O_NONBLOCK, O_RDONLY, O_WRONLY } = constants;

/** A kilobyte. */
const line = (number: number) => `${String(number).padEnd(1023, ".")}\n`;

test("a reader that does not read blocks nothing; it gets the kept lines in order, and the number of lost ones", () => {
  const folder = mkdtempSync(join(tmpdir(), "muster-log-"));
  execFileSync("mkfifo", [join(folder, "pipe")]);
  const reader = openSync(join(folder, "pipe"), O_RDONLY | O_NONBLOCK);
  const writer = openSync(join(folder, "pipe"), O_WRONLY | O_NONBLOCK);
  const told: number[] = [];
  const output = new LogOutput(writer, (lost) => told.push(lost));
  for (let number = 0; number < 5_000; number += 1) output.write(line(number));
  const buffer = Buffer.alloc(65_536);
  let read = "";
  const take = () => {
    read += buffer.toString("utf8", 0, readSync(reader, buffer));
  };
  take();
  while (told.length === 0) {
    output.write("x\n");
    take();
  }
  const numbers = read
    .split("\n")
    .filter((each) => each.length > 1)
    .map((each) => Number.parseInt(each, 10));
  assert.deepEqual(
    numbers,
    numbers.map((_, index) => index),
  );
  assert.ok(numbers.length > 4_000 && numbers.length < 5_000, `${numbers.length} lines`);
  assert.equal(told.length, 1);
  assert.ok((told[0] ?? 0) >= 5_000 - numbers.length, `reported ${told[0]} lost lines`);
  for (const fd of [reader, writer]) closeSync(fd);
  rmSync(folder, { recursive: true });
});

test("lines that cannot be written are dropped without a throw", () => {
  const full = openSync("/dev/full", O_WRONLY);
  const output = new LogOutput(full, () => assert.fail("nothing was written"));
  output.write("lost\n");
  output.write("lost too\n");
  closeSync(full);
});
