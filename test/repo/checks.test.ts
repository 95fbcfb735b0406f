import { describe, it } from "node:test";
import { CHECKS } from "../support/repo/checks.ts";

describe("the repository's checks", () => {
  for (const check of CHECKS) it(check.name, () => check.run());
});
