/** The launches whose container was made: a launch whose container is gone is not started a second time. */
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/** A file for each launch, in the launcher's state folder. */
export class Claims {
  readonly #folder: string;
  readonly #engineFile: string;

  constructor(folder: string) {
    this.#folder = join(folder, "launches");
    this.#engineFile = join(folder, "engine-id");
    mkdirSync(this.#folder, { recursive: true, mode: 0o700 });
  }

  has(launchId: string): boolean {
    return existsSync(join(this.#folder, launchId));
  }

  all(): readonly string[] {
    return readdirSync(this.#folder);
  }

  /** Made after the container and before its start: a claim without a container means that it was removed by hand. */
  add(launchId: string): void {
    writeFileSync(join(this.#folder, launchId), "", { mode: 0o600 });
  }

  remove(launchId: string): void {
    rmSync(join(this.#folder, launchId), { force: true });
  }

  /**
   * Binds the folder to an engine: on another one every container would seem to be removed.
   *
   * @returns Why it cannot be used with this engine; undefined when it can.
   */
  bind(engineId: string): string | undefined {
    const bound = readText(this.#engineFile);
    if (bound === engineId) return undefined;
    if (bound !== "" && this.all().length > 0)
      return `it is another engine than the one that has the launches of this state folder (${engineId}, not ${bound}): set DOCKER_HOST for that one, or give another folder with --state`;
    writeFileSync(this.#engineFile, engineId, { mode: 0o600 });
    return undefined;
  }
}

function readText(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return "";
    throw error;
  }
}
