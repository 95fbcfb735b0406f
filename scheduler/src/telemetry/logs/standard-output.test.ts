import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { closeSync, constants, mkdtempSync, openSync, readSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, it } from "node:test";
import { type Clock, systemClock } from "../../clock.ts";
import { StandardOutput } from "./standard-output.ts";

const { O_NONBLOCK, O_RDONLY, O_WRONLY } = constants;

/** A kilobyte. */
const line = (number: number) => `${String(number).padEnd(1023, ".")}\n`;

describe("standard output that takes no lines", () => {
  let folder: string;
  let told: string[];
  let tries: (() => void)[];
  let reader: number | undefined;
  let writer: number | undefined;

  /** Tries come when the test says so; a close waits no time. */
  const clock: Clock = {
    ...systemClock,
    monotonic: () => 1_000 * ++time,
    after: (_, fn) => {
      tries.push(fn);
      return () => void tries.splice(tries.indexOf(fn), 1);
    },
  };
  let time = 0;

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "muster-output-"));
    told = [];
    tries = [];
  });
  afterEach(() => {
    for (const fd of [reader, writer]) if (fd !== undefined) closeSync(fd);
    reader = writer = undefined;
    rmSync(folder, { recursive: true, force: true });
  });

  function open(fd: number): StandardOutput {
    return new StandardOutput({
      fd,
      clock,
      onFault: (error) => told.push(error.message.replace(/:.*/, "")),
      onRecovered: (lost) => told.push(`lost ${lost}`),
    });
  }

  function pipe(): StandardOutput {
    const path = join(folder, "pipe");
    execFileSync("mkfifo", [path]);
    reader = openSync(path, O_RDONLY | O_NONBLOCK);
    writer = openSync(path, O_WRONLY | O_NONBLOCK);
    return open(writer);
  }

  /** All that the pipe holds now. */
  function read(): string {
    const buffer = Buffer.alloc(64 * 1024);
    return buffer.toString("utf8", 0, readSync(reader ?? -1, buffer));
  }

  function readAll(total: number): string[] {
    let text = "";
    while (text.length < total) {
      text += read();
      tries[0]?.();
    }
    assert.equal(text.length % 1024, 0, "whole lines");
    return text.trimEnd().split("\n");
  }

  it("a reader that stops and goes on gets every line in order", () => {
    const output = pipe();
    for (let n = 0; n < 300; n++) output.write(line(n));
    const lines = readAll(300 * 1024);
    assert.deepEqual(
      lines.map((each) => Number.parseInt(each, 10)),
      Array.from({ length: 300 }, (_, n) => n),
    );
    assert.deepEqual(told, []);
    assert.deepEqual(tries, []);
  });

  it("beyond 4 MiB lines are left out, told once, and counted when the reader goes on", () => {
    const output = pipe();
    for (let n = 0; n < 5_000; n++) output.write(line(n));
    assert.deepEqual(told, ["its reader does not read"]);
    let kept = 0;
    while (told.length < 2) kept += readAll(1).length;
    kept += readAll(1).length;
    assert.ok(kept >= 4 * 1024, `${kept} kept`);
    assert.deepEqual(told, ["its reader does not read", `lost ${5_000 - kept}`]);
  });

  it("a reader that is gone is given nothing more", () => {
    const output = pipe();
    output.write(line(1));
    closeSync(reader ?? -1);
    reader = undefined;
    for (let n = 0; n < 10; n++) output.write(line(n));
    output.close();
    assert.deepEqual(told, []);
    assert.deepEqual(tries, []);
  });

  it("a full disk is reported once", () => {
    writer = openSync("/dev/full", "w");
    const output = open(writer);
    for (let n = 0; n < 10; n++) output.write(line(n));
    output.close();
    assert.deepEqual(told, ["ENOSPC"]);
  });

  it("the end waits for a slow reader, but not for long", () => {
    const output = pipe();
    for (let n = 0; n < 300; n++) output.write(line(n));
    output.close();
    assert.deepEqual(tries, []);
  });
});
