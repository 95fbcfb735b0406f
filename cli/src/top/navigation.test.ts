import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { afterKey, type Place, START, type Subject } from "./navigation.ts";

const rows: readonly Subject[] = [
  { kind: "worker", id: "a" },
  { kind: "task", id: "t-1" },
  { kind: "task", id: "t-2" },
];

/** The place after keys, from a place. */
const after = (keys: readonly string[], shown = rows, from: Place = START): Place | undefined =>
  keys.reduce<Place | undefined>((place, key) => place && afterKey(place, key, shown, 3), from);

describe("the keys of muster top", () => {
  it("choose a row, from either end, and stay within the rows", () => {
    assert.equal(after(["j"])?.selected?.id, "a");
    assert.equal(after(["\u001b[A"])?.selected?.id, "t-2");
    assert.equal(after(["j", "\u001b[B", "\u001bOB", "j", "j"])?.selected?.id, "t-2");
    assert.equal(after(["j", "k", "k"])?.selected?.id, "a");
    assert.deepEqual(after(["j", "\u001b"]), START);
    assert.deepEqual(after(["j", "x"], []), START);
  });

  it("open what is chosen, scroll, and go back to where they were", () => {
    const opened = after(["j", "j", "\r"]);
    assert.deepEqual(opened?.opened, rows[1]);
    assert.equal(after(["j", "j", "j", "j", "j", "k"], rows, opened)?.scrolled, 2);
    assert.deepEqual(after(["\u001b"], rows, opened), { selected: rows[1], scrolled: 0 });
    assert.equal(after(["\r"])?.opened, undefined, "nothing is chosen");
    assert.equal(
      after(["j", "\r"], rows, { selected: { kind: "task", id: "t-9" }, scrolled: 0 })?.opened?.id,
      "a",
    );
  });

  it("do not open a row that has left the screen", () => {
    assert.equal(
      after(["\r"], rows, { selected: { kind: "task", id: "t-9" }, scrolled: 0 })?.opened,
      undefined,
    );
  });

  it("quit from everywhere", () => {
    for (const key of ["q", "Q", "\u0003", "\u0004"]) {
      assert.equal(after([key]), undefined);
      assert.equal(after(["j", "\r", key]), undefined);
    }
  });
});
