import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { ReadWhenChanged } from "./read-when-changed.ts";

describe("a read of rows that seldom change", () => {
  /** Counts reads; each waits until it is let go when `held`. */
  function counted() {
    const reads = new ReadWhenChanged();
    const letGo: (() => void)[] = [];
    const state = { count: 0, held: false };
    const read = async () => {
      state.count++;
      if (state.held) await new Promise<void>((resolve) => letGo.push(resolve));
    };
    return { reads, read, state, letGo };
  }

  it("reads once for each fingerprint", async () => {
    const { reads, read, state } = counted();
    for (const fingerprint of ["a", "a", "b", "b", "a"]) await reads.ifChanged(fingerprint, read);
    assert.equal(state.count, 3);
  });

  it("reads again after a read that failed", async () => {
    const { reads, read, state } = counted();
    await assert.rejects(
      reads.ifChanged("a", () => Promise.reject(new Error("away"))),
      /away/,
    );
    await reads.ifChanged("a", read);
    assert.equal(state.count, 1);
  });

  it("reads again after a read outside of polls, which may have brought what is older", async () => {
    const { reads, read, state } = counted();
    await reads.ifChanged("a", read);
    await reads.now(read);
    await reads.ifChanged("a", read);
    await reads.ifChanged("a", read);
    assert.equal(state.count, 3);
    await assert.rejects(reads.now(() => Promise.reject(new Error("away"))));
    await reads.ifChanged("a", read);
    assert.equal(state.count, 4);
  });

  it("reads again when a read outside of polls ended during its own", async () => {
    const { reads, read, state, letGo } = counted();
    state.held = true;
    const polled = reads.ifChanged("a", read);
    state.held = false;
    await reads.now(read);
    letGo.pop()?.();
    await polled;
    await reads.ifChanged("a", read);
    assert.equal(state.count, 3);
  });
});
