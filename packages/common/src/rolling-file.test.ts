import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, it } from "node:test";
import { RollingFile, type RollingFileOptions } from "./rolling-file.ts";

describe("a file that is rotated by size", () => {
  let folder: string;
  let faults: string[];

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "muster-rolling-"));
    faults = [];
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  function open(options: Partial<RollingFileOptions> = {}): RollingFile {
    return new RollingFile({
      path: join(folder, "deep", "log"),
      maxBytes: 10,
      keep: 2,
      onFault: (error) => faults.push(error.message),
      onRecovered: (lost) => faults.push(`lost ${lost}`),
      ...options,
    });
  }
  const files = () => readdirSync(join(folder, "deep")).sort();
  const read = (name: string) => readFileSync(join(folder, "deep", name), "utf8");

  it("keeps so many older files and the youngest lines", () => {
    const file = open();
    for (let n = 1; n <= 9; n++) file.write(`line${n}\n`);
    file.close();
    assert.deepEqual(files(), ["log", "log.1", "log.2"]);
    assert.deepEqual(["log.2", "log.1", "log"].map(read), ["line7\n", "line8\n", "line9\n"]);
    assert.deepEqual(faults, []);
  });

  it("goes on in a file that is there, and turns it over when it is full", () => {
    for (const text of ["one\n", "two\n", "three\n"]) {
      const file = open();
      file.write(text);
      file.close();
    }
    assert.deepEqual([read("log.1"), read("log")], ["one\ntwo\n", "three\n"]);
  });

  it("tears no line, whatever the pieces it comes in", () => {
    const file = open();
    for (const piece of [
      "abcdefg",
      "hijklmnop",
      "q\nnext",
      " one\n",
      "a line that is longer than any file\n",
    ])
      file.write(Buffer.from(piece));
    file.close();
    assert.deepEqual(["log.2", "log.1", "log"].map(read), [
      "abcdefghijklmnopq\n",
      "next one\n",
      "a line that is longer than any file\n",
    ]);
  });

  it("follows a file that another process has rotated", () => {
    const [one, two] = [open(), open()];
    one.write("12345678\n");
    two.write("a\n");
    one.write("after\n");
    two.write("12345678\n");
    assert.deepEqual([read("log.1"), read("log")], ["12345678\na\n", "after\n12345678\n"]);
    one.close();
    two.close();
  });

  it("says once that it cannot be written, goes on, and says what was lost", () => {
    const file = open({ keep: 1 });
    file.write("12345678\n");
    // A folder in the place of the older file cannot be replaced.
    mkdirSync(join(folder, "deep", "log.1", "in-the-way"), { recursive: true });
    for (let n = 0; n < 3; n++) file.write("dropped\n");
    assert.equal(faults.length, 1);
    renameSync(join(folder, "deep", "log.1"), join(folder, "away"));
    file.write("kept\n");
    file.close();
    assert.deepEqual(faults.slice(1), ["lost 3"]);
    assert.deepEqual([read("log.1"), read("log")], ["12345678\n", "kept\n"]);
  });
});
