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
    const args = [
      "--dashboard-payloads",
      "hidden",
      "--dashboard-trace-url",
      "https://traces.example/t/{trace_id}",
    ];
    scheduler = await startTestScheduler({ databaseUrl: db.url, args });
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

  it("show their data when asked, and link to their trace", async () => {
    const { page, go, faults } = watched;
    const body = JSON.stringify({ secret: "number 12345678901234567890" });
    const trace = "0af7651916cd43dd8448eb211c80319c";
    const made = await fetch(`${scheduler.http}/v1/tasks/traced?queue=traced`, {
      method: "POST",
      headers: { traceparent: `00-${trace}-b7ad6b7169203331-01` },
      body,
    });
    const { taskId } = (await made.json()) as { taskId: string };
    await go(`/tasks/${taskId}`, taskId);
    await page.getByRole("button", { name: "Show the payload" }).waitFor();
    assert.equal(await page.getByText("12345678901234567890").count(), 0);
    await page.getByRole("button", { name: "Show the payload" }).click();
    await page.getByText("12345678901234567890").waitFor();
    const link = page.getByRole("link", { name: trace });
    assert.equal(await link.getAttribute("href"), `https://traces.example/t/${trace}`);
    assert.deepEqual(faults, []);
  });

  it("run again with an edited payload, in which numbers keep their digits", async () => {
    const { page, go, faults } = watched;
    await go(`/tasks/${failed}`, failed);
    await page.getByRole("button", { name: "Run with another payload" }).click();
    const area = page.getByRole("dialog").getByRole("textbox");
    assert.equal(await area.inputValue(), '{"page":2}');
    await area.fill('{"page": 01}');
    await page.getByText(/This is no JSON/).waitFor();
    assert.ok(await page.getByRole("button", { name: "Run", exact: true }).isDisabled());
    await assertAccessible(watched, "payload editor");
    await area.fill('{"page": 12345678901234567890}');
    await page.getByRole("button", { name: "Run", exact: true }).click();
    await page
      .getByRole("heading", { name: /^t-\d+$/ })
      .and(page.locator(`:not(:text-is("${failed}"))`))
      .waitFor();
    const id = /#\/tasks\/(t-\d+)$/.exec(page.url())?.[1] ?? "";
    assert.notEqual(id, failed);
    const { task } = await client.tasks.getTask({ taskId: id });
    assert.equal(Buffer.from(task?.payload ?? []).toString(), '{"page": 12345678901234567890}');
    assert.deepEqual([task?.taskType, task?.queue], ["refuse", "default"]);
    assert.deepEqual(faults, []);
  });
});
