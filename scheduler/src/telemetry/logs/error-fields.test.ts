import assert from "node:assert/strict";
import { it } from "node:test";
import { errorFields } from "./error-fields.ts";

it("keeps nothing that a driver hangs on its errors", () => {
  const error = Object.assign(new Error("gone", { cause: new TypeError("why") }), {
    code: "57P01",
    client: { password: "secret" },
  });
  const text = JSON.stringify(errorFields(error));
  assert.match(text, /"code":"57P01","message":"gone"/);
  assert.match(text, /"type":"TypeError","message":"why"/);
  assert.doesNotMatch(text, /secret/);
});
