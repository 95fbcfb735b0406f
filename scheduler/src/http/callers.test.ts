import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Refusal } from "../domain/errors.ts";
import { Auth } from "../rpc/server/auth.ts";
import { type Access, type CallerHeaders, Callers } from "./callers.ts";
import { DashboardSessions, SESSION_MS } from "./dashboard/sessions.ts";

const NONE: CallerHeaders = {
  authorization: undefined,
  cookie: undefined,
  host: "scheduler:7071",
  origin: undefined,
  site: undefined,
  mode: undefined,
};

function reasonOf(callers: Callers, headers: Partial<CallerHeaders>, access: Access = "change"): string {
  try {
    callers.check({ ...NONE, ...headers }, access);
    return "";
  } catch (error) {
    assert.ok(error instanceof Refusal);
    return error.reason;
  }
}

describe("callers by HTTP", () => {
  const open = new Callers({
    auth: new Auth(undefined),
    sessions: undefined,
    readOnly: false,
    withoutPayloads: false,
  });

  it("are programs, and pages of the own address", () => {
    assert.equal(reasonOf(open, {}), "");
    assert.equal(reasonOf(open, { origin: "http://scheduler:7071" }), "");
    assert.equal(reasonOf(open, { origin: "http://SCHEDULER:7071", host: "Scheduler:7071" }), "");
    assert.equal(
      reasonOf(open, { site: "same-origin", origin: "https://proxy" }),
      "",
      "a proxy changed Host",
    );
    assert.equal(reasonOf(open, { site: "none" }), "", "the address was typed");
  });

  it("are not pages of other sites", () => {
    for (const headers of [
      { origin: "https://evil.example" },
      { origin: "null" },
      { origin: "http://scheduler:8080" },
      { site: "cross-site" },
      { site: "same-site", origin: "http://scheduler:7071" },
    ])
      assert.equal(reasonOf(open, headers), "CROSS_ORIGIN", JSON.stringify(headers));
    assert.equal(reasonOf(open, { site: "cross-site", mode: "navigate" }, "read"), "", "a link");
    assert.equal(reasonOf(open, { site: "cross-site", mode: "navigate" }), "CROSS_ORIGIN", "a form");
  });

  it("have the token, or a session of the dashboard", () => {
    let now = 1_000_000;
    const sessions = new DashboardSessions("secret", () => now);
    const callers = new Callers({
      auth: new Auth("secret"),
      sessions,
      readOnly: false,
      withoutPayloads: false,
    });
    const [cookie = ""] = sessions.begin(false).split(";");
    assert.equal(reasonOf(callers, {}), "INVALID_TOKEN");
    assert.equal(reasonOf(callers, { authorization: "Bearer secret" }), "");
    assert.equal(reasonOf(callers, { cookie: `other=1; ${cookie}` }), "");
    assert.equal(reasonOf(callers, { cookie, authorization: "Bearer wrong" }), "INVALID_TOKEN");
    assert.equal(reasonOf(callers, { cookie, origin: "https://evil.example" }), "CROSS_ORIGIN");
    assert.equal(reasonOf(callers, { cookie: cookie.replace(/.$/, "") }), "INVALID_TOKEN", "forged");
    const longer = cookie.replace(/=(\d+)/, (_, until: string) => `=${Number(until) + 1}`);
    assert.equal(reasonOf(callers, { cookie: longer }), "INVALID_TOKEN", "prolonged");
    now += SESSION_MS;
    assert.equal(reasonOf(callers, { cookie }), "INVALID_TOKEN", "over");
  });

  it("change nothing from a browser in read-only mode", () => {
    const sessions = new DashboardSessions("secret", () => 0);
    const callers = new Callers({
      auth: new Auth("secret"),
      sessions,
      readOnly: true,
      withoutPayloads: false,
    });
    const [cookie = ""] = sessions.begin(false).split(";");
    assert.equal(reasonOf(callers, { cookie }), "READ_ONLY");
    assert.equal(reasonOf(callers, { cookie }, "read"), "");
    assert.equal(reasonOf(callers, { authorization: "Bearer secret", site: "same-origin" }), "READ_ONLY");
    assert.equal(reasonOf(callers, { authorization: "Bearer secret" }), "", "a program");
  });

  it("get no payloads as a page where an operator wants that", () => {
    const sessions = new DashboardSessions("secret", () => 0);
    const [cookie = ""] = sessions.begin(false).split(";");
    const parts = { auth: new Auth("secret"), sessions, readOnly: false };
    const hides = (withoutPayloads: boolean, given: Partial<CallerHeaders>) =>
      new Callers({ ...parts, withoutPayloads }).hidesPayloads({ ...NONE, ...given });
    assert.ok(hides(true, { cookie }));
    assert.ok(hides(true, { authorization: "Bearer secret", site: "same-origin" }));
    assert.ok(!hides(true, { authorization: "Bearer secret" }), "a program");
    assert.ok(!hides(false, { cookie }));
  });
});

describe("the session of the dashboard", () => {
  it("is a cookie that scripts and other sites do not get, and that does not hold the token", () => {
    const sessions = new DashboardSessions("secret", () => 0);
    assert.match(
      sessions.begin(false),
      /^muster-session-[\w-]{8}=\d+\.[\w-]{43}; HttpOnly; SameSite=Strict$/,
    );
    assert.match(sessions.begin(true), /; Secure$/);
    assert.ok(!sessions.begin(true).includes("secret"));
    assert.match(sessions.end(false), /=; HttpOnly; SameSite=Strict; Max-Age=0$/);
  });

  it("begins with the token alone, and ends when the token changes", () => {
    const sessions = new DashboardSessions("secret", () => 0);
    assert.deepEqual(
      [sessions.accepts("secret"), sessions.accepts("secret "), sessions.accepts("")],
      [true, false, false],
    );
    const [cookie] = sessions.begin(false).split(";");
    assert.equal(new DashboardSessions("secret", () => 0).isValid(cookie), true, "after a restart");
    assert.equal(new DashboardSessions("other", () => 0).isValid(cookie), false);
  });
});
