/** Keeps secrets out of what hooks print: those of the launcher, and those that it gave to a worker. */
import { Redactor } from "@muster/common/text/redact";
import type { SecretSource } from "../driver.ts";
import type { Environment } from "../environment.ts";
import { readSecret } from "../order.ts";
import type { HookLaunch } from "./hook-records.ts";

/** One redactor for each launch. */
export class HookMasks {
  readonly #launcher: Environment;
  readonly #ofLauncher: Redactor;
  readonly #redactors = new Map<string, Redactor>();

  constructor(launcher: Environment) {
    this.#launcher = launcher;
    this.#ofLauncher = redactorOf(launcher);
  }

  /** What a worker is started with. */
  add(launchId: string, env: Environment, secretNames: readonly string[]): void {
    this.#redactors.set(launchId, redactorOf(this.#launcher, env, secretNames));
  }

  /** A text about a launch. After a restart of the launcher its secrets are read again from where they were. */
  text({ launchId, secretSources }: HookLaunch, text: string): string {
    if (text === "") return text;
    let redactor = this.#redactors.get(launchId);
    if (!redactor) {
      redactor = redactorOf(this.#launcher, {}, [], secretSources);
      this.#redactors.set(launchId, redactor);
    }
    return redactor.text(text);
  }

  /** A text about no launch. */
  launcherText(text: string): string {
    return this.#ofLauncher.text(text);
  }

  forget(launchId: string): void {
    this.#redactors.delete(launchId);
  }
}

/** Masks the secrets of the launcher and of one worker; the names of the latter may not look like secrets. */
function redactorOf(
  launcher: Environment,
  worker: Environment = {},
  secretNames: readonly string[] = [],
  sources: readonly SecretSource[] = [],
): Redactor {
  const values = [
    ...secretNames.map((name) => worker[name]),
    ...sources.map((source) => readSecret(source, launcher)),
  ];
  return new Redactor({
    ...launcher,
    ...worker,
    ...Object.fromEntries(values.map((value, index) => [`MUSTER_SECRET_TOKEN_${index}`, value])),
  });
}
