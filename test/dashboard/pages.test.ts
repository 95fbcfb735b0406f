/** The pages of the dashboard in a real browser, against a real system. */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { Client } from "@muster/worker/client";
import type { Browser } from "playwright-core";
import { buildDashboard } from "../../dashboard/build.ts";
import { findChromium, startChromium } from "../support/browser/chromium.ts";
import { assertAccessible, assertFits, openPage, type WatchedPage } from "../support/browser/watched-page.ts";
import { createDatabase, type TestDatabase } from "../support/database/postgres.ts";
import { killAll } from "../support/programs/program.ts";
import { startTestScheduler, startTestWorker, type TestScheduler } from "../support/programs/scheduler.ts";

const found = findChromium();
const path = typeof found === "string" ? "" : found.path;

/** Text that would be a script, an element or an attribute where it was taken for HTML. */
const HOSTILE = `<img src=x onerror="window.taken=1"><script>window.taken=1</script>"'\`\${window.taken=1}{{7*7}}</textarea>`;

describe("the dashboard in a browser", { skip: typeof found === "string" && found }, () => {
  let db: TestDatabase;
  let scheduler: TestScheduler;
  let client: Client;
  let browser: Browser;
  let watched: WatchedPage;
  let failed: string;
  let succeeded: string;

  before(async () => {
    await buildDashboard();
    db = await createDatabase();
    scheduler = await startTestScheduler({ databaseUrl: db.url });
    client = new Client({ scheduler: scheduler.grpc });
    await startTestWorker({ scheduler: scheduler.grpc, id: "page-1" });
    const payload = { text: HOSTILE, big: 1, [HOSTILE]: [HOSTILE] };
    const echo = await client.submit("echo", payload, { tags: ["tenant:acme"] });
    await echo.result();
    succeeded = echo.id;
    const refuse = await client.submit("refuse", payload);
    await assert.rejects(refuse.result());
    failed = refuse.id;
    await client.submit("unserved.type", payload, { queue: "unserved" });
    browser = await startChromium(path);
    watched = await openPage(browser, `${scheduler.http}/`);
  });

  after(async () => {
    await browser?.close();
    client?.close();
    await killAll();
    await db?.drop();
  });

  it("shows every page without a fault, accessible in light and dark, and as wide as a phone", async () => {
    const pages: [string, string | RegExp][] = [
      ["/", "Overview"],
      ["/tasks", "Tasks"],
      [`/tasks/${succeeded}`, succeeded],
      [`/tasks/${failed}`, failed],
      ["/errors", "Errors"],
      ["/queues", "Queues"],
      ["/queues/unserved", /unserved/],
      ["/workers", "Workers"],
      ["/pools", "Pools"],
      ["/schedules", "Schedules"],
      ["/batches", "Batches"],
      ["/limits", "Limits"],
      ["/pools/none", "There is no pool none"],
      ["/schedules/none", "There is no schedule none"],
      ["/batches/b-999999", "There is no batch b-999999"],
      ["/workers/page-1", "page-1"],
      ["/nothing", "There is no such page"],
      ["/tasks/t-999999", "There is no task t-999999"],
    ];
    for (const colorScheme of ["light", "dark"] as const) {
      const wide = await openPage(browser, `${scheduler.http}/`, { colorScheme });
      const phone = await openPage(browser, `${scheduler.http}/`, {
        colorScheme,
        viewport: { width: 390, height: 800 },
      });
      for (const [address, heading] of pages) {
        for (const opened of [wide, phone]) {
          await opened.go(address, heading);
          await opened.page.getByText("Loading…").first().waitFor({ state: "detached" });
        }
        await assertAccessible(wide, `${address} ${colorScheme}`);
        await assertFits(phone, address);
      }
      assert.deepEqual([...wide.faults, ...phone.faults], [], colorScheme);
      await Promise.all([wide.close(), phone.close()]);
    }
  });

  it("says what is wrong in the scheduler's own sentences, with the way to it", async () => {
    const { page, go } = watched;
    await go("/", /problem/);
    const sentence = page.getByText(/no worker can run it; the oldest, unserved\.type in/);
    await sentence.waitFor();
    await sentence.getByRole("link", { name: "queue unserved" }).click();
    await page.getByRole("heading", { name: /unserved/ }).waitFor();
    await page
      .getByText(/handler for unserved\.type/)
      .first()
      .waitFor();
  });

  it("takes nothing of a payload, a result or an error for HTML", async () => {
    const { page, go, faults } = watched;
    await go(`/tasks/${succeeded}`, succeeded);
    await page.getByText("<img src=x onerror=", { exact: false }).first().waitFor();
    await go(`/tasks/${failed}`, failed);
    await page.getByText("it will never work").first().waitFor();
    await assert.rejects((await client.submit("refuse", { message: HOSTILE })).result());
    await go("/errors", "Errors");
    await page.getByText(HOSTILE.slice(0, 40), { exact: false }).first().waitFor();
    await client.submit("unserved.type", {}, { queue: "hostile" });
    await go("/queues/hostile", /hostile/);
    await page.getByRole("button", { name: "Pause" }).click();
    await page.getByLabel(/Who asks/).fill(HOSTILE);
    await page.getByRole("dialog").getByRole("button", { name: "Pause" }).click();
    await page.getByRole("button", { name: "Resume" }).waitFor();
    await page.getByText(HOSTILE, { exact: false }).first().waitFor();
    await go("/", "Overview");
    await page.getByText("queue.paused").waitFor();
    assert.equal(await page.evaluate("'taken' in window"), false);
    assert.deepEqual(faults, []);
  });

  it("finds tasks by filters that are in the address, and by Ctrl-K", async () => {
    const { page, go } = watched;
    await go("/tasks?state=failed", "Tasks");
    await page.getByRole("link", { name: failed, exact: true }).waitFor();
    assert.equal(await page.getByRole("link", { name: succeeded, exact: true }).count(), 0);
    await page.getByLabel("failed", { exact: true }).uncheck();
    await page.getByRole("link", { name: succeeded, exact: true }).waitFor();
    assert.match(page.url(), /#\/tasks$/);
    await page.keyboard.press("Control+k");
    await page.getByRole("combobox").fill("page-");
    await page.getByRole("option", { name: /page-1/ }).waitFor();
    await page.keyboard.press("Enter");
    await page.getByRole("heading", { name: "page-1" }).waitFor();
  });

  it("retries a task, after a question", async () => {
    const { page, go } = watched;
    await go(`/tasks/${failed}`, failed);
    await page.getByRole("button", { name: "Retry", exact: true }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Retry" }).click();
    await page.getByRole("dialog").waitFor({ state: "detached" });
    await page.locator(".lane-label", { hasText: `${failed}.2` }).waitFor();
  });

  it("says that it is cut while the scheduler is away, and goes on by itself", async () => {
    const { page, go } = watched;
    await go("/", "Overview");
    await page.getByText("Live", { exact: true }).waitFor();
    const address = scheduler.http.replace("http://", "");
    await scheduler.program.end("SIGTERM");
    await page.getByText(/What is shown is .* old: .*The page asks again by itself/).waitFor();
    await page.getByRole("heading", { name: "Overview" }).waitFor();
    scheduler = await startTestScheduler({ databaseUrl: db.url, args: ["--http-addr", address] });
    await page.getByText("Live", { exact: true }).waitFor();
    await page.getByText(/What is shown is/).waitFor({ state: "detached" });
  });
});

describe("the dashboard of a scheduler with a token", { skip: typeof found === "string" && found }, () => {
  let db: TestDatabase;
  let scheduler: TestScheduler;
  let browser: Browser;

  before(async () => {
    await buildDashboard();
    db = await createDatabase();
    scheduler = await startTestScheduler({
      databaseUrl: db.url,
      args: ["--dashboard", "read-only"],
      env: { MUSTER_TOKEN: "a-long-secret" },
    });
    browser = await startChromium(path);
  });

  after(async () => {
    await browser?.close();
    await killAll();
    await db?.drop();
  });

  it("asks for it once, and keeps it out of reach of scripts and addresses", async () => {
    const watched = await openPage(browser, `${scheduler.http}/`);
    const { page, go } = watched;
    await go("/queues", /Sign in/);
    await assertAccessible(watched, "sign-in");
    await page.getByLabel("Token").fill("wrong");
    await page.getByRole("button", { name: "Sign in" }).click();
    await page.getByText(/this is not the scheduler's token/).waitFor();
    await page.getByLabel("Token").fill("a-long-secret");
    await page.getByRole("button", { name: "Sign in" }).click();
    await page.getByRole("heading", { name: "Queues" }).waitFor();
    assert.equal(await page.evaluate("document.cookie"), "");
    const kept = await page.evaluate<string>(
      "JSON.stringify([{ ...localStorage }, { ...sessionStorage }, location.href])",
    );
    assert.ok(!kept.includes("secret"), kept);
    await page.reload();
    await page.getByRole("heading", { name: "Queues" }).waitFor();
    await page.getByText("Read-only").waitFor();
    assert.equal(await page.getByRole("button", { name: "Pause" }).count(), 0);
    await go("/limits", "Limits");
    await page.getByText(/Tasks with the same key share a rate/).waitFor();
    assert.equal(await page.getByRole("button", { name: /Open|Set/ }).count(), 0);
    await page.getByRole("button", { name: "Sign out" }).click();
    await page.getByRole("heading", { name: /Sign in/ }).waitFor();
    assert.deepEqual(watched.faults, []);
  });
});
