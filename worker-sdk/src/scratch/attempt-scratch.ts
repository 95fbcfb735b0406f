/** The scratch folder of one attempt. */
import type { Outcome } from "../link/outcome.ts";
import type { ScratchFolder, ScratchFolders } from "./scratch-folders.ts";

/** Opens the folder at the first call, and ends it with the attempt. */
export class AttemptScratch {
  readonly #attemptId: string;
  readonly #folders: Pick<ScratchFolders, "open" | "end">;
  readonly #exceeded: (reason: Error) => void;
  #folder: Promise<ScratchFolder> | undefined;

  /** @param exceeded The folder has grown beyond its limit. */
  constructor(
    attemptId: string,
    folders: Pick<ScratchFolders, "open" | "end">,
    exceeded: (reason: Error) => void,
  ) {
    this.#attemptId = attemptId;
    this.#folders = folders;
    this.#exceeded = exceeded;
  }

  /** The path of the folder. @throws what `ScratchFolders.open` throws. */
  async path(): Promise<string> {
    this.#folder ??= this.#folders.open(this.#attemptId, this.#exceeded);
    try {
      return (await this.#folder).path;
    } catch (error) {
      // The next call tries again.
      this.#folder = undefined;
      throw error;
    }
  }

  /** The handler has returned: the folder is removed, or kept after a failure. */
  end(outcome: Outcome["kind"]): void {
    this.#folder?.then(
      (folder) => this.#folders.end(folder, outcome),
      () => {
        // Its handler got the error, and there is no folder.
      },
    );
    this.#folder = undefined;
  }
}
