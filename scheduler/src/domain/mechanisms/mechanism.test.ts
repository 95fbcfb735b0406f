import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { ACT, MECHANISM_NAMES, modesInWords, notActing, parseModes } from "./mechanism.ts";

describe("the modes of mechanisms", () => {
  it("are read in their order, a later entry over an earlier one", () => {
    assert.deepEqual(parseModes(""), { modes: ACT, faults: [] });
    assert.deepEqual(parseModes("all=act").modes, ACT);
    const { modes, faults } = parseModes(" all=observe, circuits=act ,poison=off");
    assert.deepEqual(faults, []);
    assert.deepEqual([modes.recovery, modes.circuits, modes.poison], ["observe", "act", "off"]);
    assert.deepEqual(parseModes("poison=off,all=act").modes, ACT);
  });

  it("are refused one by one, with what is allowed", () => {
    const { modes, faults } = parseModes("recovery=obsrve,fencing=off,recovery,=act,poison=off");
    assert.equal(faults.length, 4);
    assert.equal(
      faults[0],
      `"recovery=obsrve" is not MECHANISM=MODE; mechanisms are all, ${MECHANISM_NAMES.join(", ")}; modes are off, observe, act`,
    );
    assert.equal(modes.poison, "off");
    assert.ok((parseModes("x".repeat(500)).faults[0] ?? "").length < 250);
    assert.equal(parseModes("toString=off,__proto__=off").faults.length, 2);
  });

  it("are named where they do not act, in the order of the registry", () => {
    assert.equal(modesInWords(ACT), "");
    assert.equal(
      modesInWords(parseModes("poison=off,recovery=observe").modes),
      "recovery observe, poison off",
    );
    assert.deepEqual(notActing({ forgotten: "observe", circuits: "act" }), [["forgotten", "observe"]]);
  });
});
