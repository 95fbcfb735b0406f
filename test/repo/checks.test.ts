import { describe, it } from "node:test";
import { CHECKS } from "../support/checks.ts";

describe("the repository's checks", () => {
  for (const check of CHECKS) it(check.name, () => check.run());
});
