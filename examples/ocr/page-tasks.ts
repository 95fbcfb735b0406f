/** The tasks that the demo has submitted, as they change. */
import type { Client, PlainTask, TaskHandle } from "@muster/worker/client";
import type { Page } from "./demo-pages.ts";
import type { OcrResult } from "./worker.ts";

/** Submits a task for each page, and follows them all. */
export class PageTasks {
  readonly #client: Client;
  readonly #signal: AbortSignal;
  readonly #onUpdate: (index: number, task: PlainTask) => void;
  readonly #latest: PlainTask[] = [];
  readonly #ended: Promise<PlainTask>[] = [];
  readonly #changed = new EventTarget();

  /**
   * @param parts.signal Ends following.
   * @param parts.onUpdate Called with the page's number, counted in the order of submission, after each change.
   */
  constructor(parts: {
    client: Client;
    signal: AbortSignal;
    onUpdate: (index: number, task: PlainTask) => void;
  }) {
    this.#client = parts.client;
    this.#signal = parts.signal;
    this.#onUpdate = parts.onUpdate;
  }

  async submit(pages: readonly Page[]): Promise<void> {
    const handles = await this.#client.submitMany<OcrResult>(
      pages.map(({ image }) => ({ type: "ocr.page", payload: image, contentType: "image/png" })),
    );
    for (const handle of handles) {
      const ended = this.#follow(this.#ended.length, handle);
      // `allEnded` throws its error. Until then Node would report it as an unhandled rejection and end the demo.
      ended.catch(() => undefined);
      this.#ended.push(ended);
    }
  }

  /** Resolves when every task that was submitted has ended, in the order of submission. */
  allEnded(): Promise<PlainTask[]> {
    return Promise.all(this.#ended);
  }

  /** The first task that matches, now or after a change. */
  taskThat(matches: (task: PlainTask) => boolean): Promise<PlainTask> {
    const { promise, resolve, reject } = Promise.withResolvers<PlainTask>();
    const look = () => {
      const found = this.#latest.find((task) => task !== undefined && matches(task));
      if (found) resolve(found);
    };
    this.#changed.addEventListener("task", look);
    this.allEnded().then(
      () => reject(new Error("every page was done before the fault could be shown")),
      (error: unknown) => reject(error),
    );
    look();
    return promise.finally(() => this.#changed.removeEventListener("task", look));
  }

  async #follow(index: number, handle: TaskHandle<OcrResult>): Promise<PlainTask> {
    for await (const { task } of handle.watch({ signal: this.#signal })) {
      this.#latest[index] = task;
      this.#onUpdate(index, task);
      this.#changed.dispatchEvent(new Event("task"));
    }
    return handle.get();
  }
}
