/**
 * Takes a picture of every page of the dashboard, in light and dark, of a real system with real workers:
 * `npm run screenshots -- FOLDER`, by default `screenshots/`. The plots need hours, so their rows are written to the table of the history.
 */
import assert from "node:assert/strict";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { argv, exit, stderr, stdout } from "node:process";
import { Client, TaskFailedError } from "@muster/worker/client";
import { buildDashboard } from "../../dashboard/build.ts";
import { findChromium, startChromium } from "../support/browser/chromium.ts";
import { openPage } from "../support/browser/watched-page.ts";
import { createDatabase, type TestDatabase } from "../support/database/postgres.ts";
import { killAll } from "../support/programs/program.ts";
import { startTestScheduler, startTestWorker } from "../support/programs/scheduler.ts";

const VIEWPORT = { width: 1_200, height: 800 };

/** Minutes of the history before now. */
const MINUTES = 180;

const folder = argv[2] ?? "screenshots";
const found = findChromium();
if (typeof found === "string") {
  stderr.write(`no screenshots: ${found}\n`);
  exit(1);
}
await mkdir(folder, { recursive: true });
await buildDashboard();
const db = await createDatabase();
try {
  await writeHistory(db);
  const scheduler = await startTestScheduler({
    databaseUrl: db.url,
    args: ["--warn-phases", "model_load=1,inference=60"],
  });
  const client = new Client({ scheduler: scheduler.grpc });
  for (const id of ["reader-1", "reader-2"])
    await startTestWorker({ scheduler: scheduler.grpc, id, file: "shown.ts" });
  const { stuck, failed } = await submitWork(client);
  const browser = await startChromium(found.path);
  for (const colorScheme of ["light", "dark"] as const) {
    const opened = await openPage(browser, `${scheduler.http}/`, { viewport: VIEWPORT, colorScheme });
    const { page } = opened;
    const take = async (name: string) => {
      await page.getByText("Loading…").first().waitFor({ state: "detached" });
      // The plots draw after their answer; two frames later they are on the screen.
      await page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))");
      const path = join(folder, `${name}-${colorScheme}.png`);
      await page.screenshot({ path });
      stdout.write(`${path}\n`);
    };
    await opened.go("/", /problem/);
    await page.locator(".plot canvas").first().waitFor();
    await take("overview");
    // Whatever pages the navigation has.
    const links = await page
      .locator(".side nav a")
      .evaluateAll((all) =>
        all.map((link) => [
          String((link as unknown as { hash: string }).hash).replace(/^#/, ""),
          String(link.textContent).trim(),
        ]),
      );
    for (const [link = "", name = ""] of links.filter(([each]) => each !== "/")) {
      await opened.go(link, name);
      if (link === "/tasks") await page.locator(".task-rows .task-row").first().waitFor();
      await take(link.slice(1).replaceAll("/", "-"));
    }
    await opened.go(`/tasks/${stuck}`, stuck);
    await page.getByText("STUCK_IN_PHASE").first().waitFor();
    await page.getByRole("button", { name: "Read its stack" }).click();
    await page.getByText(/has been in phase/).waitFor();
    await page.evaluate("scrollTo(0, 0)");
    await take("task");
    await opened.go(`/tasks/${failed}`, failed);
    await take("task-failed");
    await opened.go("/queues/documents", /documents/);
    await take("queue");
    await opened.go("/workers/reader-1", "reader-1");
    await take("worker");
    await page.keyboard.press("Control+k");
    await page.getByRole("combobox").fill("reader");
    await page.getByRole("option", { name: /reader-1/ }).waitFor();
    await take("search");
    await opened.close();
  }
  await browser.close();
  client.close();
} finally {
  await killAll();
  await db.drop();
}

async function submitWork(client: Client): Promise<{ stuck: string; failed: string }> {
  const queue = "documents";
  const model = await client.submit("ocr.model", { model: "eu-large" }, { queue });
  await client.submit("report.render", { month: "2026-11" }, { queue: "reports" });
  const bounced = await client.submit("mail.send", { to: "ada@example.invalid" }, { queue: "mail" });
  await assert.rejects(bounced.result(), TaskFailedError);
  await client.submitMany(
    Array.from({ length: 40 }, (_, page) => ({
      type: "ocr.page",
      payload: { page: page + 1 },
      ...{ queue, tags: ["import-17"] },
    })),
  );
  const mails = await client.submitMany(
    Array.from({ length: 12 }, (_, n) => ({
      type: "mail.send",
      payload: { to: `reader-${n}@example.com` },
      queue: "mail",
    })),
  );
  await Promise.all(mails.map((mail) => mail.result()));
  await client.submitMany(
    Array.from({ length: 60 }, (_, page) => ({
      type: "ocr.page",
      payload: { page: page + 41, lasts: 30_000 },
      ...{ queue, tags: ["import-18"] },
    })),
  );
  await client.submit("video.transcode", { file: "talk.mp4" }, { queue: "video" });
  return { stuck: model.id, failed: bounced.id };
}

async function writeHistory(database: TestDatabase): Promise<void> {
  await database.query(
    `insert into muster.history (time, counted_ms, succeeded, failed, failed_attempts, ready, scheduled, active, stuck,
       oldest_ready_ms, ready_workers, workers)
     select date_trunc('minute', now()) - make_interval(mins => n), 60000,
            900 + (300 * sin(n / 20.0))::int + (n * 7919) % 60, case when n between 60 and 75 then 40 + n % 9 else n % 4 end,
            case when n between 60 and 75 then 90 + n % 17 else n % 7 end,
            greatest(0, (120 + 200 * sin(n / 20.0 + 1))::int), 12, 8, 0, 4000 + 2500 * sin(n / 20.0 + 1), 2, 2
       from generate_series(1, $1::int) n on conflict do nothing`,
    [MINUTES],
  );
}
