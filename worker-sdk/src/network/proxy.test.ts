import assert from "node:assert/strict";
import { hostname, networkInterfaces } from "node:os";
import { test } from "node:test";
import { goesDirect, proxyFor } from "./proxy.ts";

const env = { http_proxy: "http://user:secret@127.0.0.1:9" };

test("T20: whatever leads to this machine goes direct: loopback, its name, addresses of its interfaces", () => {
  const own = Object.values(networkInterfaces()).flatMap((each) => each ?? []);
  const hosts = ["127.0.0.1", "localhost", "[::1]", hostname(), hostname().toUpperCase()];
  for (const { address, family } of own) hosts.push(family === "IPv6" ? `[${address}]` : address);
  for (const host of hosts) {
    assert.equal(goesDirect(`${host}:7070`), true, host);
    assert.equal(proxyFor(`${host}:7070`, env), undefined, host);
  }
  assert.equal(goesDirect("scheduler.invalid:7070"), false);
  assert.deepEqual(proxyFor("scheduler.invalid:7070", env), {
    variable: "http_proxy",
    url: "http://127.0.0.1:9",
  });
});
