/** What an operator does in the dashboard, in a real browser with real workers. */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import type { Browser } from "playwright-core";
import { buildDashboard } from "../../dashboard/build.ts";
import { findChromium, startChromium } from "../support/browser/chromium.ts";
import { openPage, type WatchedPage } from "../support/browser/watched-page.ts";
import { Fleet } from "../support/fleet/fleet.ts";
import { killAll } from "../support/programs/program.ts";

const found = findChromium();
const path = typeof found === "string" ? "" : found.path;

describe("an operator in the dashboard", { skip: typeof found === "string" && found }, () => {
  let fleet: Fleet;
  let browser: Browser;
  let watched: WatchedPage;

  before(async () => {
    await buildDashboard();
    fleet = await Fleet.start();
    await fleet.worker("operator-1", { slots: 4 });
    browser = await startChromium(path);
    watched = await openPage(browser, `${fleet.scheduler.http}/`);
  });

  after(async () => {
    await browser?.close();
    await killAll();
    await fleet?.stop();
  });

  it("retries all failed tasks of a group, after their number and what keeps some of them", async () => {
    const { page, go, faults } = watched;
    const failed = await fleet.client.submitMany(
      Array.from({ length: 12 }, () => ({ type: "refuse", queue: "default" })),
    );
    const unique = { key: "one", while: "open" } as const;
    const kept = await fleet.client.submit("refuse", {}, { unique });
    for (const task of [...failed, kept]) await assert.rejects(task.result());
    // The key belongs to another task now: that one cannot be queued again.
    const holder = await fleet.client.submit("echo", {}, { unique, delayS: 3_600 });
    const other = await fleet.client.submit("fail", {}, { retry: { maxRetries: 0 } });
    await assert.rejects(other.result());

    await go("/errors?window=1h", "Errors");
    await page.getByText(/^at .*refuse/).waitFor();
    await page.getByRole("img", { name: /NEVER over time: at most 13/ }).waitFor();
    const group = page.getByRole("listitem").filter({ hasText: "NEVER" });
    await group.getByRole("button", { name: "Retry all" }).click();
    const dialog = page.getByRole("dialog");
    await dialog.getByText("13 tasks would be queued again", { exact: false }).waitFor();
    await dialog.getByLabel(/Who asks/).fill("the key was renewed");
    await dialog.getByRole("button", { name: "Retry 13 tasks" }).click();
    await dialog.getByText("Done: 12 of 13 tasks queued again.").waitFor();
    await dialog.getByText("UNIQUE_KEY_HELD").waitFor();
    await dialog.getByRole("link", { name: kept.id }).waitFor();
    await dialog.getByRole("button", { name: "Close" }).click();

    const retriesOf = async ({ id }: { id: string }) => {
      const { events } = await fleet.client.fleet.listEvents({ taskId: id });
      return events
        .filter(({ name }) => name === "retry_requested")
        .map(({ attributes }) => attributes.reason);
    };
    for (const task of failed) assert.deepEqual(await retriesOf(task), ["the key was renewed"]);
    for (const task of [kept, other]) assert.deepEqual(await retriesOf(task), []);
    await fleet.client.tasks.cancelTask({ taskId: holder.id, reason: "the test is over" });
    await go(`/tasks/${failed[0]?.id}`, String(failed[0]?.id));
    assert.deepEqual(faults, []);
  });
});
