import assert from "node:assert/strict";
import { it } from "node:test";
import { MechanismMode, QueueSetting } from "@muster/protocol";
import { modeName, parseModes } from "./modes.ts";

it("modes of a queue are set and taken back by name, and anything else is refused with what is allowed", () => {
  assert.deepEqual(parseModes("poison=observe, forgotten=default,attempt_limits=off"), {
    set: { poisonMode: MechanismMode.OBSERVE, attemptLimitsMode: MechanismMode.OFF },
    clear: [QueueSetting.FORGOTTEN_MODE],
  });
  assert.equal(modeName(MechanismMode.ACT), "act");
  for (const text of ["", "recovery=act", "poison", "poison=on", "=act"])
    assert.throws(
      () => parseModes(text),
      /is not MECHANISM=MODE; the mechanisms of a queue are unaccepted, forgotten, attempt_limits, poison; modes are off, observe, act, default$/,
    );
});
