import assert from "node:assert/strict";
import { test } from "node:test";
import { fakeIo } from "../testing/fake-io.ts";
import { fitWidths, writeFields, writeTable } from "./table.ts";

const COLUMNS = [{ title: "ID" }, { title: "N", align: "right" }, { title: "NOTE", shrink: "last" }] as const;

test("a terminal gets aligned columns with a head, cut to its width", () => {
  const io = fakeIo({ isTTY: true, columns: 24 });
  writeTable(io.stdout, COLUMNS, [
    ["t-1", "7", "short"],
    ["t-1000", "12", "much longer than the terminal is"],
  ]);
  assert.equal(
    io.out(),
    ["ID       N  NOTE", "t-1      7  short", "t-1000  12  much longer…", ""].join("\n"),
  );
});

test("a program gets tabs, whole values and no head", () => {
  const io = fakeIo();
  writeTable(io.stdout, COLUMNS, [["t-1", { text: "7 s", plain: "7000" }, "a\tb\nc \u001b[31mred"]]);
  assert.equal(io.out(), "t-1\t7000\ta b c [31mred\n");
});

test("text from elsewhere cannot steer the terminal or break the table", () => {
  const io = fakeIo({ isTTY: true });
  writeTable(io.stdout, COLUMNS, [["t-1", "1", "\u001b]0;title\u0007a\nb\u009b2J"]]);
  assert.equal(io.out().split("\n").length, 3);
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what must be gone.
  assert.doesNotMatch(io.out(), /[\u0000-\u0009\u000b-\u001f\u007f-\u009f]/);
});

test("wide and combining characters keep the columns aligned", () => {
  const io = fakeIo({ isTTY: true, columns: 40 });
  writeTable(
    io.stdout,
    [{ title: "A", shrink: "last" }, { title: "B" }],
    [
      ["日本語日本語", "x"],
      ["abc", "y"],
    ],
  );
  assert.equal(io.out(), "A             B\n日本語日本語  x\nabc           y\n");
});

test("no rows, no head", () => {
  const io = fakeIo({ isTTY: true });
  writeTable(io.stdout, COLUMNS, []);
  assert.equal(io.out(), "");
});

test("columns give what they may until the table fits", () => {
  const shrink = { title: "", shrink: "last" } as const;
  const first = { title: "", shrink: "first" } as const;
  const fixed = { title: "" };
  assert.deepEqual(fitWidths([10, 30, 20], [fixed, shrink, shrink], 50), [10, 18, 18]);
  assert.deepEqual(fitWidths([10, 30, 20], [fixed, shrink, shrink], 20), [10, 6, 6]);
  assert.deepEqual(fitWidths([10, 30], [fixed, fixed], 20), [10, 30]);
  assert.deepEqual(fitWidths([20, 20], [shrink, first], 36), [20, 14]);
  assert.deepEqual(fitWidths([20, 20], [shrink, first], 32), [18, 12]);
});

test("fields of one thing are aligned for a person, and those that are unset are left out", () => {
  const tty = fakeIo({ isTTY: true });
  const fields = [
    ["id", "t-1"],
    ["unset", undefined],
    ["took", { text: "1 s", plain: "1000" }],
  ] as const;
  writeFields(tty.stdout, fields);
  assert.equal(tty.out(), "id    t-1\ntook  1 s\n");
  const pipe = fakeIo();
  writeFields(pipe.stdout, fields);
  assert.equal(pipe.out(), "id\tt-1\ntook\t1000\n");
});
