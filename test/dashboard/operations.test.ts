/** What an operator does in the dashboard, in a real browser with real workers. */
import assert from "node:assert/strict";
import { execPath } from "node:process";
import { after, before, describe, it } from "node:test";
import { LaunchGuardState, ScheduleState, TaskState } from "@muster/protocol";
import type { Browser } from "playwright-core";
import { buildDashboard } from "../../dashboard/build.ts";
import { findChromium, startChromium } from "../support/browser/chromium.ts";
import { assertAccessible, assertFits, openPage, type WatchedPage } from "../support/browser/watched-page.ts";
import { Fleet } from "../support/fleet/fleet.ts";
import { poolSpec, TestLauncher } from "../support/fleet/pool-launcher.ts";
import { killAll } from "../support/programs/program.ts";
import { until } from "../support/waits.ts";

const found = findChromium();
const path = typeof found === "string" ? "" : found.path;

/** Text that would be an element where it was taken for HTML. */
const HOSTILE = `<img src=x onerror="window.taken=1">"'`;

describe("an operator in the dashboard", { skip: typeof found === "string" && found }, () => {
  let fleet: Fleet;
  let browser: Browser;
  let watched: WatchedPage;
  let launcher: TestLauncher;
  /** Pages with something in them, by the tests. */
  const filled: [string, string | RegExp][] = [
    ["/errors?window=1h", "Errors"],
    ["/limits", "Limits"],
    ["/workers", "Workers"],
  ];

  before(async () => {
    await buildDashboard();
    fleet = await Fleet.start();
    launcher = new TestLauncher(fleet);
    // The failures of the one would quarantine the other.
    await Promise.all([
      launcher.start(),
      fleet.worker("operator-1", { slots: 4 }),
      fleet.worker("operator-2", { slots: 4, queue: "ops" }),
    ]);
    browser = await startChromium(path);
    watched = await openPage(browser, `${fleet.scheduler.http}/`);
  });

  after(async () => {
    await browser?.close();
    await launcher?.stop();
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

  /** Answers the dialog that is open. */
  const confirm = async (button: string, fields: Readonly<Record<string, string>> = {}) => {
    const dialog = watched.page.getByRole("dialog");
    for (const [label, value] of Object.entries(fields)) await dialog.getByLabel(label).fill(value);
    await dialog.getByRole("button", { name: button, exact: true }).click();
    await dialog.waitFor({ state: "detached" });
  };
  const REASON = "Who asks, and why (shown to others)";

  it("sees why the launches of a pool are suspended, scales it and resumes it", async () => {
    const { page, go, faults } = watched;
    const say = `console.error(${JSON.stringify(`no driver ${HOSTILE}`)}); process.exit(3)`;
    for (const name of ["night", "broken"]) {
      const spec = poolSpec(fleet, { name, min: 2, minSamples: 2, command: [execPath, "-e", say] });
      await fleet.client.pools.applyPool({ spec });
    }
    filled.push(["/pools", "Pools"], ["/pools/night", /night/], ["/pools/broken", /broken/]);
    await go("/pools", "Pools");
    await page.getByRole("row", { name: /night/ }).getByText("launches suspended").waitFor();
    await page.getByRole("link", { name: "night", exact: true }).click();
    await page.getByText("2 of 2 starts failed").waitFor();
    await page.getByText(/launches of pool night are suspended/).waitFor();
    await page.getByText("suspended", { exact: true }).waitFor();
    await page.getByText("The last lines of its output").first().click();
    await page
      .locator(".launch pre")
      .filter({ hasText: `no driver ${HOSTILE}` })
      .first()
      .waitFor();

    await page.getByRole("button", { name: "Scale" }).click();
    await confirm("Scale", { "Least workers": "0", "Most workers": "5", [REASON]: "no night shift" });
    await page.getByText("at least 0").waitFor();
    await page.getByRole("button", { name: "Resume" }).click();
    await confirm("Resume", { [REASON]: "the driver is there" });
    await page.getByText("at zero").waitFor();
    await page.getByRole("button", { name: "Pause" }).click();
    await confirm("Pause", { [REASON]: HOSTILE });
    await page.getByText("paused", { exact: true }).waitFor();
    const { pool } = await fleet.client.pools.getPool({ name: "night" });
    assert.deepEqual(
      [pool?.launchGuard?.state, pool?.spec?.minWorkers, pool?.spec?.maxWorkers, pool?.pauseReason],
      [LaunchGuardState.CLOSED, 0, 5, HOSTILE],
    );
    assert.deepEqual(faults, []);
  });

  it("pauses a schedule, runs it once and resumes it", async () => {
    const { page, go, faults } = watched;
    await fleet.client.schedules.set("nightly", {
      cron: "30 2 * * 1-5",
      timezone: "Europe/Berlin",
      type: "echo",
      queue: "ops",
    });
    filled.push(["/schedules", "Schedules"], ["/schedules/nightly", /nightly/], ["/queues/ops", /ops/]);
    await go("/schedules", "Schedules");
    await page.getByText("At 02:30, Monday through Friday, Europe/Berlin").waitFor();
    await page.getByRole("button", { name: "Pause" }).click();
    await confirm("Pause", { [REASON]: HOSTILE });
    await page.getByText(HOSTILE, { exact: true }).waitFor();
    const stateOf = async () =>
      (await fleet.client.schedules.calls.getSchedule({ name: "nightly" })).schedule;
    assert.equal((await stateOf())?.state, ScheduleState.PAUSED);
    await page.getByRole("link", { name: "nightly" }).click();
    await page.getByRole("button", { name: "Run now" }).click();
    await confirm("Run now");
    await page.getByText("on request").waitFor();
    const [tick] = (await stateOf())?.ticks ?? [];
    await page
      .getByRole("link", { name: String(tick?.taskId), exact: true })
      .first()
      .waitFor();
    await page.getByRole("button", { name: "Resume" }).click();
    await confirm("Resume");
    await page.getByText("active", { exact: true }).waitFor();
    assert.equal((await stateOf())?.state, ScheduleState.ACTIVE);
    assert.deepEqual(faults, []);
  });

  it("sees which task holds a key that another one waits for, and raises the limit", async () => {
    const { page, go, faults } = watched;
    const key = `tenant ${HOSTILE}`;
    const options = { queue: "ops", concurrency: [{ key, limit: 1 }] };
    const holder = await fleet.client.submit("sleep", { ms: 600_000 }, options);
    await until(
      "it holds the key",
      async () => (await fleet.task(holder.id)).state === TaskState.RUNNING || undefined,
    );
    const waiting = await fleet.client.submit("sleep", { ms: 600_000 }, options);
    await go(`/limits?key=${encodeURIComponent(key)}`, "Limits");
    const row = page.getByRole("row").filter({ hasText: "tenant" });
    await row.getByText("1 task", { exact: true }).waitFor();
    await row.getByRole("link", { name: `${holder.id}.1` }).waitFor();
    await row.getByRole("link", { name: "operator-2" }).waitFor();
    await row.getByRole("button", { name: "Set limit" }).click();
    await confirm("Set limit", { "Tasks at once; 0 lets none start": "2", [REASON]: "they pay for two" });
    await row.getByText("they pay for two").waitFor();
    await row.getByRole("link", { name: `${waiting.id}.1` }).waitFor();
    await row.getByRole("button", { name: "Remove limit" }).click();
    await confirm("Remove limit");
    await row.getByText("they pay for two").waitFor({ state: "detached" });
    for (const { id } of [holder, waiting])
      await fleet.client.tasks.cancelTask({ taskId: id, reason: "the test is over" });
    assert.deepEqual(faults, []);
  });

  it("opens a circuit, which holds tasks back, and resets it", async () => {
    const { page, go, faults } = watched;
    await go("/limits", "Limits");
    await page.getByRole("button", { name: "Open a circuit" }).click();
    await confirm("Open a circuit", { Key: "billing-api", [REASON]: HOSTILE });
    const row = page.getByRole("row").filter({ hasText: "billing-api" });
    await row.getByText("when it is reset").waitFor();
    await row.getByText(HOSTILE).waitFor();
    const task = await fleet.client.submit("echo", 1, { queue: "ops", circuit: { key: "billing-api" } });
    assert.equal((await fleet.task(task.id)).state, TaskState.QUEUED);
    await row.getByRole("button", { name: "Reset" }).click();
    await confirm("Reset", { [REASON]: "they are back" });
    assert.equal(await task.result(), 1);
    assert.deepEqual(faults, []);
  });

  it("cancels a batch, and sees what its members came to", async () => {
    const { page, go, faults } = watched;
    const batch = await fleet.client.batch({ title: HOSTILE });
    const members = Array.from({ length: 5 }, (_, n) => ({
      type: n < 2 ? "echo" : "sleep",
      payload: { ms: 600_000 },
      queue: "ops",
    }));
    const [first, second] = await batch.submitMany(members);
    await Promise.all([first?.result(), second?.result()]);
    filled.push(["/batches", "Batches"], [`/batches/${batch.id}`, /window\.taken/]);
    await go(`/batches/${batch.id}`, /window\.taken/);
    await page.getByText("40 % of 5 tasks ended").waitFor();
    await page.getByRole("button", { name: "Cancel" }).click();
    await confirm("Cancel", { [REASON]: "the wrong month" });
    await page.getByText("100 % of 5 tasks ended").waitFor();
    await page.getByText("3 cancelled").waitFor();
    await page.getByText(/the wrong month/).waitFor();
    assert.deepEqual(faults, []);
  });

  it("finds pools, schedules, batches and keys by Ctrl-K", async () => {
    const { page } = watched;
    for (const [text, option, heading] of [
      ["nigh", /^night ?Pool/, /night/],
      ["nightl", /nightly/, /nightly/],
      ["billing", /billing-api/, "Limits"],
    ] as const) {
      await page.keyboard.press("Control+k");
      await page.getByRole("combobox").fill(text);
      await page.getByRole("option", { name: option }).waitFor();
      await page.keyboard.press("Enter");
      await page.getByRole("heading", { name: heading }).waitFor();
    }
  });

  it("has all of this accessible in light and dark, and as wide as a phone", async () => {
    const base = `${fleet.scheduler.http}/`;
    const [light, dark, phone] = await Promise.all([
      openPage(browser, base, { colorScheme: "light" }),
      openPage(browser, base, { colorScheme: "dark" }),
      openPage(browser, base, { viewport: { width: 390, height: 800 } }),
    ]);
    for (const [address, heading] of filled) {
      for (const opened of [light, dark, phone]) {
        await opened.go(address, heading);
        await opened.page.getByText("Loading…").first().waitFor({ state: "detached" });
      }
      await assertAccessible(light, `${address} light`);
      await assertAccessible(dark, `${address} dark`);
      await assertFits(phone, address);
    }
    assert.equal(await light.page.evaluate("'taken' in window"), false);
    assert.deepEqual([...light.faults, ...dark.faults, ...phone.faults], []);
  });
});
