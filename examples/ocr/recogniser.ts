/** Reads the text of a page with tesseract.js. */
import { stat } from "node:fs/promises";
import { createRequire } from "node:module";
import { dirname } from "node:path";
import { Engine, EngineError, type EngineProgress, type PageText } from "./engine.ts";

/** The file with the language data, and its size in bytes. */
export interface ModelFile {
  readonly path: string;
  readonly bytes: number;
}

/** A recognised page, and how long the engine worked on it in milliseconds. */
export interface Recognition extends PageText {
  readonly elapsed: number;
}

export interface RecogniseOptions {
  /** When it aborts, the work stops at once and the promise rejects with the signal's reason. */
  readonly signal?: AbortSignal | undefined;
  /** Called with rising numbers from 0 to 1. It must not throw. */
  readonly onProgress?: ((progress: number) => void) | undefined;
}

/** The bytes are not a picture that the engine can read; trying again would not help. */
export class UnreadableImageError extends Error {
  override readonly name = "UnreadableImageError";
}

/** Without this file from the package of language data there is nothing to recognise with. */
export class ModelNotFoundError extends Error {
  override readonly name = "ModelNotFoundError";
}

/**
 * The variant of the English data: 3 MB. The other one in the package, 4.0.0, is 11 MB, takes a quarter of a second
 * longer to load, and reads the sample pages with the same accuracy in the same time.
 */
const modelFile = "@tesseract.js-data/eng/4.0.0_best_int/eng.traineddata.gz";

/** Recognises English text on pictures of pages, one at a time. The model stays loaded between them. */
export class Recogniser {
  readonly #model: ModelFile;
  readonly #closing = new AbortController();
  #engine: Engine | undefined;
  /** Settles when all recognitions asked for so far are over. */
  #turns: Promise<void> = Promise.resolve();

  private constructor(model: ModelFile, engine: Engine) {
    this.#model = model;
    this.#engine = engine;
  }

  /**
   * Finds the language data among the installed packages.
   *
   * @throws ModelNotFoundError when it is not there
   */
  static async resolve(): Promise<ModelFile> {
    try {
      const path = createRequire(import.meta.url).resolve(modelFile);
      return { path, bytes: (await stat(path)).size };
    } catch (cause) {
      const remedy = `Install the package @tesseract.js-data/eng, for example with "npm ci".`;
      throw new ModelNotFoundError(`The language data ${modelFile} is not installed. ${remedy}`, { cause });
    }
  }

  /**
   * Loads the model and the engine. `onStatus` hears of each step and must not throw.
   *
   * @throws ModelNotFoundError when the language data is not installed
   * @throws EngineError when it cannot be used
   */
  static async load(onStatus?: (status: EngineProgress) => void, signal?: AbortSignal): Promise<Recogniser> {
    const model = await Recogniser.resolve();
    return new Recogniser(model, await Engine.start(dirname(model.path), { signal, onProgress: onStatus }));
  }

  /**
   * Recognises the text on a picture of a page (PNG, JPEG, WebP, BMP or PBM), askew or not. Calls made at the
   * same time take turns. After an abort or a failure the next call loads a fresh engine, which takes 0.3 s.
   *
   * @throws UnreadableImageError when the bytes are not such a picture
   * @throws EngineError when the engine fails
   */
  async recognise(image: Uint8Array, { signal, onProgress }: RecogniseOptions = {}): Promise<Recognition> {
    const over = Promise.withResolvers<void>();
    const turn = this.#turns;
    this.#turns = turn.then(() => over.promise);
    const stop = AbortSignal.any(signal ? [signal, this.#closing.signal] : [this.#closing.signal]);
    try {
      await unlessAborted(turn, stop);
      return await this.#recogniseNow(image, stop, onProgress);
    } finally {
      over.resolve();
    }
  }

  /** Stops what is under way, which rejects, and unloads the model. It may be called again. */
  async close(): Promise<void> {
    this.#closing.abort(new Error("The recogniser was closed."));
    await this.#turns;
    await this.#engine?.stop();
  }

  async #recogniseNow(
    image: Uint8Array,
    signal: AbortSignal,
    onProgress: ((progress: number) => void) | undefined,
  ): Promise<Recognition> {
    const start = performance.now();
    if (!this.#engine || this.#engine.stopped) {
      this.#engine = await Engine.start(dirname(this.#model.path), { signal });
    }
    let furthest = 0;
    const rise = ({ progress }: EngineProgress) => {
      if (progress <= furthest) return;
      furthest = progress;
      onProgress?.(progress);
    };
    try {
      const page = await this.#engine.recognise(image, { signal, onProgress: rise });
      return { ...page, elapsed: performance.now() - start };
    } catch (error) {
      // An engine that failed once is not trusted with the next page.
      await this.#engine.stop();
      if (error instanceof EngineError && /read image/i.test(error.reason)) {
        const formats = "PNG, JPEG, WebP, BMP or PBM";
        throw new UnreadableImageError(`The ${image.length} bytes are not a picture; give ${formats}.`, {
          cause: error,
        });
      }
      throw error;
    }
  }
}

async function unlessAborted(promise: Promise<void>, signal: AbortSignal): Promise<void> {
  signal.throwIfAborted();
  const { promise: aborted, reject } = Promise.withResolvers<never>();
  const onAbort = () => reject(signal.reason);
  signal.addEventListener("abort", onAbort);
  try {
    await Promise.race([promise, aborted]);
  } finally {
    signal.removeEventListener("abort", onAbort);
  }
}
