/** What people look at the dashboard for, with real workers: work that is stuck, lost or cut off, in a real browser. */
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { migrateDatabase } from "@muster/scheduler";
import { Client } from "@muster/worker/client";
import type { Browser, Page } from "playwright-core";
import { buildDashboard } from "../../dashboard/build.ts";
import { findChromium, startChromium } from "../support/browser/chromium.ts";
import { openPage, type WatchedPage } from "../support/browser/watched-page.ts";
import { startServer, type TestServer } from "../support/database/server.ts";
import { findNginx, startNginx } from "../support/peers/nginx.ts";
import { killAll, type Program } from "../support/programs/program.ts";
import { startTestScheduler, startTestWorker, type TestScheduler } from "../support/programs/scheduler.ts";

const found = findChromium();
const path = typeof found === "string" ? "" : found.path;

describe("the dashboard while work goes wrong", { skip: typeof found === "string" && found }, () => {
  let folder: string;
  let data: string;
  let server: TestServer;
  let scheduler: TestScheduler;
  let worker: Program;
  let client: Client;
  let browser: Browser;
  let watched: WatchedPage;

  before(async () => {
    await buildDashboard();
    folder = await mkdtemp(join(tmpdir(), "muster-flows-"));
    data = await mkdtemp(join(tmpdir(), "muster-flows-data-"));
    server = await startServer({ dataDir: data });
    await migrateDatabase(server.url);
    scheduler = await startTestScheduler({
      databaseUrl: server.url,
      args: ["--warn-phases", "model_load=0.3"],
    });
    client = new Client({ scheduler: scheduler.grpc });
    worker = await startTestWorker({ scheduler: scheduler.grpc, id: "flow-1" });
    browser = await startChromium(path);
    watched = await openPage(browser, `${scheduler.http}/`);
  });

  after(async () => {
    await browser?.close();
    client?.close();
    await killAll();
    await server?.postgres.stop();
    for (const each of [folder, data]) await rm(each, { recursive: true, force: true });
  });

  const gate = (name: string) => join(folder, name);

  it("leads from the overview to a stuck task, to where its handler is, and sees it end", async () => {
    const { page, go } = watched;
    const { id } = await client.submit("stuck", { gate: gate("stuck") });
    await go("/", /problem/);
    const sentence = page
      .locator(".verdict")
      .getByText(/model_load/)
      .first();
    await sentence.waitFor();
    await page.locator(".verdict").getByRole("link", { name: id }).first().click();
    await page.getByRole("heading", { name: id }).waitFor();
    await page.getByText("STUCK_IN_PHASE").first().waitFor();
    await page.locator(".lane-words", { hasText: /stuck in model_load \d/ }).waitFor();
    await page.getByText(/flow-1 used \d+ % of a processor and [\d.]+ MiB/).waitFor();
    await page.getByRole("button", { name: "Read its stack" }).click();
    await page.getByText(/has been in phase model_load for/).waitFor();
    writeFileSync(gate("stuck"), "");
    await page.locator(".title").getByText("succeeded").waitFor();
    assert.equal(await page.getByRole("button", { name: "Read its stack" }).count(), 0);
  });

  it("shows that a worker was lost, and its task on another one", async () => {
    const { page, go } = watched;
    const { id } = await client.submit("gate", { gate: gate("lost") });
    await go(`/tasks/${id}`, id);
    await page.locator(".lane-label", { hasText: `${id}.1` }).waitFor();
    await page.locator(".title").getByText("running").waitFor();
    worker.kill("SIGKILL");
    await page.locator(".lane-words", { hasText: /waits after the loss of its worker/ }).waitFor();
    await go("/workers/flow-1", "flow-1");
    await page.locator(".title").getByText("lost", { exact: true }).waitFor();
    worker = await startTestWorker({ scheduler: scheduler.grpc, id: "flow-2" });
    writeFileSync(gate("lost"), "");
    await go(`/tasks/${id}`, id);
    await page.locator(".title").getByText("succeeded").waitFor();
    await page.locator(".lane-label", { hasText: "flow-2" }).waitFor();
  });

  it("says that the database is away, keeps what it has shown, and recovers by itself", async () => {
    const { page, go } = watched;
    await go("/queues", "Queues");
    await page.getByRole("link", { name: "default" }).first().waitFor();
    const other = await openPage(browser, `${scheduler.http}/`);
    await other.go("/", "Overview");
    await other.page.getByText("Live", { exact: true }).waitFor();
    await server.postgres.stop();
    await page.getByText(/What is shown is .* old: .*database.*The page asks again by itself/).waitFor();
    await page.getByRole("link", { name: "default" }).first().waitFor();
    await other.page
      .locator(".verdict.bad")
      .getByText(/database/i)
      .first()
      .waitFor();
    server = await startServer({ dataDir: server.dataDir, port: server.postgres.port });
    for (const each of [page, other.page]) {
      await each.getByText("Live", { exact: true }).waitFor();
      await each.getByText(/What is shown is/).waitFor({ state: "detached" });
    }
    await other.page.locator(".verdict.bad").waitFor({ state: "detached" });
    const { id } = await client.submit("echo", { back: true });
    await go(`/tasks/${id}`, id);
    await page.locator(".title").getByText("succeeded").waitFor();
    assert.deepEqual([...watched.faults, ...other.faults], []);
    await other.close();
  });

  it("lets no page of another site call", async () => {
    const target = `${scheduler.http}/v1/tasks/evil`;
    const html = `<!doctype html><title>Elsewhere</title><form method="post" action="${target}" enctype="text/plain"
      ><input name='{"a":"' value='"}'></form>`;
    const elsewhere = createServer((_, response) =>
      response.writeHead(200, { "content-type": "text/html" }).end(html),
    );
    await new Promise<void>((resolve) => elsewhere.listen(0, "127.0.0.1", resolve));
    const context = await browser.newContext();
    try {
      const page = await context.newPage();
      // Another host name is another site, and another port of a name another origin of the same site.
      const { port } = elsewhere.address() as AddressInfo;
      for (const host of ["localhost", "127.0.0.1"]) {
        await page.goto(`http://${host}:${port}/`);
        const [sent] = await Promise.all([
          page.waitForResponse((response) => response.url().startsWith(target)),
          page.evaluate(
            `fetch(${JSON.stringify(target)}, { method: "POST", mode: "no-cors", body: "1" }).catch(() => 0)`,
          ),
        ]);
        assert.equal(sent.status(), 403, host);
        const [form] = await Promise.all([
          page.waitForResponse((response) => response.url().startsWith(target)),
          page.waitForEvent("framenavigated"),
          page.evaluate("document.forms[0].submit()"),
        ]);
        assert.equal(form.status(), 403, `${host}: a form`);
      }
      assert.deepEqual((await client.tasks.listTasks({ taskType: "evil" })).tasks, []);
    } finally {
      await context.close();
      elsewhere.close();
    }
  });

  it("is used with the keyboard alone: find a task, open it, cancel it", async () => {
    // Where the focus is in a page that was clicked in depends on what was clicked.
    const { page, go, close } = await openPage(browser, `${scheduler.http}/`);
    const { id } = await client.submit("echo", {}, { queue: "keyboard", delayS: 3_600 });
    await go("/", "Overview");
    await page.keyboard.press("Tab");
    await focusIs(page, /Skip to the content/);
    await page.keyboard.press("/");
    await page.getByRole("combobox").waitFor();
    await page.keyboard.type(id);
    await page
      .getByRole("option", { name: new RegExp(id) })
      .first()
      .waitFor();
    await page.keyboard.press("Enter");
    await page.getByRole("heading", { name: id }).waitFor();
    await tabTo(page, /^Cancel$/);
    await page.keyboard.press("Enter");
    await page.getByRole("dialog").waitFor();
    await page.keyboard.type("by keyboard");
    await page.keyboard.press("Escape");
    await page.getByRole("dialog").waitFor({ state: "detached" });
    await focusIs(page, /^Cancel$/);
    await page.keyboard.press("Enter");
    await page.getByRole("dialog").waitFor();
    await page.keyboard.type("by keyboard");
    await page.keyboard.press("Enter");
    await page.locator(".title").getByText("cancelled").first().waitFor();
    const { task } = await client.tasks.getTask({ taskId: id });
    assert.equal(task?.cancelReason, "by keyboard");
    await close();
  });

  const nginx = findNginx();
  it("works in a folder of a proxy", { skip: typeof nginx === "string" && nginx }, async () => {
    if (typeof nginx === "string") return;
    const proxy = await startNginx(nginx, scheduler, ["30s"]);
    try {
      const opened = await openPage(browser, `http://${proxy.addresses[0]?.http}/muster/`);
      await opened.go("/workers", "Workers");
      await opened.page.getByRole("link", { name: "flow-2" }).first().click();
      await opened.page.getByRole("heading", { name: "flow-2" }).waitFor();
      await opened.page.getByRole("button", { name: "Pause" }).click();
      await opened.page.getByRole("dialog").getByRole("button", { name: "Pause" }).click();
      await opened.page.getByRole("button", { name: "Resume" }).click();
      await opened.page.getByRole("dialog").getByRole("button", { name: "Resume" }).click();
      await opened.page.getByRole("button", { name: "Pause" }).waitFor();
      const { id } = await client.submit("gate", { gate: gate("proxied") });
      await opened.go(`/tasks/${id}`, id);
      await opened.page.locator(".title").getByText("running").waitFor();
      writeFileSync(gate("proxied"), "");
      await opened.page.locator(".title").getByText("succeeded").waitFor();
      assert.deepEqual(opened.faults, []);
      await opened.close();
    } finally {
      await proxy.stop();
    }
  });
});

function focusedText(page: Page): Promise<string> {
  return page.evaluate<string>("document.activeElement?.textContent ?? ''");
}

async function focusIs(page: Page, text: RegExp): Promise<void> {
  assert.match((await focusedText(page)).trim(), text);
}

/** Presses Tab until an element with the text has the focus. */
async function tabTo(page: Page, text: RegExp): Promise<void> {
  for (let n = 0; n < 60; n++) {
    await page.keyboard.press("Tab");
    if (text.test((await focusedText(page)).trim())) return;
  }
  assert.fail(`60 presses of Tab have not reached ${text}`);
}
