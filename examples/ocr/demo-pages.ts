/** The pages of the demo, and how well they were recognised. */
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { PlainTask } from "@muster/worker/client";
import { wordAccuracy } from "./accuracy.ts";
import type { OcrResult } from "./worker.ts";

const PAGES = fileURLToPath(new URL("./pages/", import.meta.url));

/** A page image and the text that is really on it. */
export interface Page {
  readonly name: string;
  readonly image: Uint8Array;
  readonly expected: string;
}

export async function loadPages(): Promise<Page[]> {
  const files = (await readdir(PAGES)).filter((file) => file.endsWith(".png")).sort();
  return Promise.all(
    files.map(async (file) => ({
      name: file.replace(".png", ""),
      image: new Uint8Array(await readFile(join(PAGES, file))),
      expected: await readFile(join(PAGES, file.replace(".png", ".txt")), "utf8"),
    })),
  );
}

/** Prints what became of a page; true when it was recognised with more than 90 % of its words right. */
export function report(page: Page, task: PlainTask | undefined, say: (text: string) => void): boolean {
  if (task?.state !== "succeeded") {
    say(`\n=== ${page.name}: ${task?.failure?.code ?? "no result"} ${task?.failure?.message ?? ""}`);
    return false;
  }
  const result = task.result?.json as OcrResult;
  const right = wordAccuracy(page.expected, result.text);
  const phases = (task.metrics?.phases ?? []).map(
    ({ phase, durationS = 0 }) => `${phase} ${Math.round(durationS * 1_000)} ms`,
  );
  const attempt = task.attemptCount > 1 ? `, attempt ${task.attemptCount}` : "";
  say(
    `\n=== ${page.name}: ${result.words} words, confidence ${Math.round(result.confidence)} %, ${(right * 100).toFixed(1)} % of the words right`,
  );
  say(`    task ${task.id} on ${task.workerId}${attempt}: ${phases.join(", ")}\n`);
  say(result.text.trim().replaceAll(/^/gm, "    "));
  return right > 0.9;
}
