/** A page of the dashboard whose faults a test sees. */
import assert from "node:assert/strict";
import axe, { type AxeResults } from "axe-core";
import type { Browser, BrowserContextOptions, Page } from "playwright-core";

/** A page, and what went wrong in it. */
export interface WatchedPage {
  readonly page: Page;
  /** Errors of scripts, and what the content security policy refused. */
  readonly faults: readonly string[];
  /** Goes to an address after `#` and waits for its heading. */
  go(path: string, heading: string | RegExp): Promise<void>;
  close(): Promise<void>;
}

/** @param base Address of the page, with `/` at its end. */
export async function openPage(
  browser: Browser,
  base: string,
  options: BrowserContextOptions = {},
): Promise<WatchedPage> {
  const context = await browser.newContext({ viewport: { width: 1_280, height: 900 }, ...options });
  const page = await context.newPage();
  const faults: string[] = [];
  page.on("pageerror", (error) => faults.push(error.message));
  page.on("console", (message) => {
    // Answers that are no success are logged by the browser itself; tests look at what the page makes of them.
    if (message.type() === "error" && !/Failed to load resource/.test(message.text()))
      faults.push(message.text());
  });
  return {
    page,
    faults,
    go: async (path, heading) => {
      await page.goto(`${base}#${path}`);
      await page.getByRole("heading", { name: heading }).first().waitFor();
    },
    close: () => context.close(),
  };
}

/** Fails with what axe finds. */
export async function assertAccessible({ page }: WatchedPage, what: string): Promise<void> {
  await page.evaluate(axe.source);
  const found = await page.evaluate<AxeResults>("axe.run(document, { resultTypes: ['violations'] })");
  const violations = found.violations.map(
    ({ id, nodes }) =>
      `${id}: ${nodes.map(({ html, failureSummary }) => `${html} ${failureSummary}`).join(" | ")}`,
  );
  assert.deepEqual(violations, [], what);
}

/** Fails when the page is wider than its window, with what reaches beyond it. */
export async function assertFits({ page }: WatchedPage, what: string): Promise<void> {
  const { pixels, beyond } = await page.evaluate<{ pixels: number; beyond: string[] }>(`({
    pixels: document.documentElement.scrollWidth - innerWidth,
    beyond: [...document.querySelectorAll("main *")]
      .filter((element) => element.getBoundingClientRect().right > innerWidth + 0.5)
      .map((element) => element.outerHTML.slice(0, 120)),
  })`);
  assert.ok(pixels <= 0, `${what} is ${pixels} pixels too wide for the window: ${beyond.join(", ")}`);
}
