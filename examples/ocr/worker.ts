/** The worker of the example. */
import { NonRetryableError, Worker } from "@muster/worker";
import { startOtel } from "@muster/worker/otel";
import { pageImage } from "./page-image.ts";
import { Recogniser, UnreadableImageError } from "./recogniser.ts";

/** What a recognised page comes back as. */
export interface OcrResult {
  readonly text: string;
  /** 0 to 100, as the engine rates itself. */
  readonly confidence: number;
  readonly words: number;
}

// Traces to wherever OTEL_EXPORTER_OTLP_ENDPOINT points; nothing without it.
await startOtel({ serviceName: "ocr-worker" });

let loaded: Promise<Recogniser> | undefined;

const worker = new Worker({
  // The engine works on one page at a time; more pages at once take more workers.
  concurrency: 1,
  tasks: {
    "ocr.page": async (ctx): Promise<OcrResult> => {
      const image = await pageImage(ctx);
      const model = await ctx.phase("model_resolve", () => Recogniser.resolve());
      const recogniser = await ctx.phase("model_load", () => load(), { context: { model: model.path } });
      return ctx.phase("inference", () => recognise(recogniser), { progress: true });

      async function recognise(engine: Recogniser): Promise<OcrResult> {
        try {
          const page = await engine.recognise(image, {
            signal: ctx.signal,
            onProgress: (share) => ctx.progress(share),
          });
          return { text: page.text, confidence: page.confidence, words: page.words.length };
        } catch (error) {
          if (!(error instanceof UnreadableImageError)) throw error;
          throw new NonRetryableError(error.message, { code: "UNREADABLE_IMAGE", cause: error });
        }
      }
    },
  },
});

await worker.run();
await (await loaded)?.close();

/** The model stays loaded from task to task; a load that failed is tried again by the next one. */
function load(): Promise<Recogniser> {
  loaded ??= Recogniser.load().catch((error: unknown) => {
    loaded = undefined;
    throw error;
  });
  return loaded;
}
