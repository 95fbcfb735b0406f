/** The list of tasks and the page of a task in a real browser, against a real system. */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { Client } from "@muster/worker/client";
import type { Browser } from "playwright-core";
import { buildDashboard } from "../../dashboard/build.ts";
import { findChromium, startChromium } from "../support/browser/chromium.ts";
import { assertAccessible, openPage, type WatchedPage } from "../support/browser/watched-page.ts";
import { createDatabase, type TestDatabase } from "../support/database/postgres.ts";
import { killAll } from "../support/programs/program.ts";
import { startTestScheduler, startTestWorker, type TestScheduler } from "../support/programs/scheduler.ts";

const found = findChromium();
const path = typeof found === "string" ? "" : found.path;

describe("tasks in the dashboard", { skip: typeof found === "string" && found }, () => {
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
    const echo = await client.submit("echo", { page: 1 });
    await echo.result();
    succeeded = echo.id;
    const refuse = await client.submit("refuse", { page: 2 });
    await assert.rejects(refuse.result());
    failed = refuse.id;
    browser = await startChromium(path);
    watched = await openPage(browser, `${scheduler.http}/`);
  });

  after(async () => {
    await browser?.close();
    client?.close();
    await killAll();
    await db?.drop();
  });

  it("are found by the text of their error and their times, and a view keeps its name", async () => {
    const { page, go, faults } = watched;
    await go("/tasks", "Tasks");
    const row = (id: string) => page.getByRole("link", { name: id, exact: true });
    await row(succeeded).waitFor();
    await page.getByLabel("Text in the error").fill("NEVER work");
    await page.getByRole("button", { name: "Filter", exact: true }).click();
    await row(succeeded).waitFor({ state: "detached" });
    await row(failed).waitFor();
    assert.match(page.url(), /error=NEVER\+work/);
    await page.getByText("Times, failure code").click();
    await page.getByLabel("Created after").fill("soon");
    await page.getByText(/"soon" is not a duration/).waitFor();
    await page.getByLabel("Created after").fill("1h");
    await page.getByLabel("Ended before").fill("30m");
    await page.getByLabel("Ended before").press("Enter");
    await page.getByText("No task has all of this").waitFor();
    await page.getByLabel("Ended before").fill("");
    await page.getByLabel("Ended before").press("Enter");
    await row(failed).waitFor();
    await page.getByRole("button", { name: "Save this view" }).click();
    await page.getByLabel("Name of the view").fill("never again");
    await page.getByLabel("Name of the view").press("Enter");
    await assertAccessible(watched, "filters");
    await go("/tasks", "Tasks");
    await page.reload();
    await page.getByRole("button", { name: "never again", exact: true }).click();
    await row(failed).waitFor();
    assert.match(page.url(), /error=NEVER\+work.*newer=1h/);
    await page.getByRole("button", { name: "Forget the view never again" }).click();
    await page.getByRole("button", { name: "Save this view" }).waitFor();
    assert.deepEqual(faults, []);
  });
});
