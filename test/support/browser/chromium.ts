/** Finds a Chromium for tests of the dashboard. */
import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { delimiter, join } from "node:path";
import { env, getuid } from "node:process";
import { type Browser, chromium } from "playwright-core";

const NAMES = ["chromium", "chromium-browser", "google-chrome"];

/**
 * The path of a Chromium. In CI (the variable `CI` is set) Debian's is installed when there is none.
 *
 * @returns A path, or why there is none, for the test's `skip`.
 * @throws Error when apt cannot install it: CI must not pass without these tests.
 */
export function findChromium(): { readonly path: string } | string {
  const found = among();
  if (found) return { path: found };
  if (!env.CI) return "no Chromium is on the PATH (Debian: apt install chromium)";
  const root = getuid?.() === 0 ? [] : ["sudo"];
  for (const args of [
    ["update", "-q"],
    ["install", "-y", "-q", "--no-install-recommends", "chromium"],
  ]) {
    const [command = "", ...rest] = [...root, "apt-get", ...args];
    execFileSync(command, rest, {
      stdio: ["ignore", "pipe", "pipe"],
      env: { ...env, DEBIAN_FRONTEND: "noninteractive" },
    });
  }
  const installed = among();
  if (!installed) throw new Error("Debian's package chromium has no program of this name");
  return { path: installed };
}

function among(): string | undefined {
  const folders = (env.PATH ?? "").split(delimiter);
  return NAMES.flatMap((name) => folders.map((folder) => join(folder, name))).find((path) =>
    existsSync(path),
  );
}

/** Starts it without a window. */
export function startChromium(path: string): Promise<Browser> {
  // Tests run as root in containers, where its sandbox does not start.
  return chromium.launch({ executablePath: path, args: ["--no-sandbox", "--disable-dev-shm-usage"] });
}
