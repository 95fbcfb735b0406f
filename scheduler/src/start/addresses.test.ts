import assert from "node:assert/strict";
import { hostname } from "node:os";
import { test } from "node:test";
import { isOpen, reachable, shown } from "./addresses.ts";

test("addresses are shown as host:port, those of IPv6 in brackets", () => {
  assert.equal(shown({ host: "10.0.0.7", port: 7070 }), "10.0.0.7:7070");
  assert.equal(shown({ host: "::1", port: 7070 }), "[::1]:7070");
});

test("a listener on every address is reached by the host's name", () => {
  assert.deepEqual(reachable({ host: "::", port: 1 }), { host: hostname(), port: 1 });
  assert.deepEqual(reachable({ host: "10.0.0.7", port: 1 }), { host: "10.0.0.7", port: 1 });
});

test("a listener is open unless it is on a loopback address", () => {
  for (const host of ["0.0.0.0", "::", "10.0.0.7", "muster.example"])
    assert.ok(isOpen({ host, port: 1 }), host);
  for (const host of ["127.0.0.1", "::1", "localhost"]) assert.ok(!isOpen({ host, port: 1 }), host);
});
