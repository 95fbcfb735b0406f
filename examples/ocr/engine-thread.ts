import { parentPort, workerData } from "node:worker_threads";
import { createWorker, OEM, PSM } from "tesseract.js";
import type { EngineMessage, EngineRequest } from "./engine.ts";

// The thread that an Engine starts and ends. It loads the model named by its data, says "ready", then answers each
// picture with its words. tesseract.js has a thread of its own below this one, which ends together with it.

const port = parentPort;
if (port === null) throw new Error("engine-thread.ts is started by engine.ts as a thread, not as a program.");
const send = (message: EngineMessage) => port.postMessage(message);

// tesseract.js reports a language file that it cannot use to its error handler alone: its promise stays pending.
const refused = Promise.withResolvers<never>();
const loading = createWorker("eng", OEM.LSTM_ONLY, {
  langPath: workerData as string,
  cacheMethod: "none",
  gzip: true,
  logger: ({ status, progress }) => send({ kind: "progress", step: status, progress }),
  errorHandler: (reason) => refused.reject(new Error(String(reason))),
});
const tesseract = await Promise.race([loading, refused.promise]);

await tesseract.setParameters({
  // Finds columns and the cells of tables; the library's default takes the page for one block of text.
  tessedit_pageseg_mode: PSM.AUTO,
  // Scans are between 150 and 300 dots per inch. Left to estimate it (257 to 281 on the sample pages), the engine
  // took a receipt's column of zeros for vertical text, and 77 % instead of 100 % of its words came out right.
  user_defined_dpi: "200",
  // Otherwise remarks such as "Detected 182 diacritics" go to the program's standard error.
  debug_file: "/dev/null",
});
send({ kind: "ready" });

port.on("message", async ({ image }: EngineRequest) => {
  try {
    // Without levelling, a page 3.5 degrees askew gives 17 % of its words instead of all.
    const { data } = await tesseract.recognize(
      Buffer.from(image),
      { rotateAuto: true },
      { text: true, blocks: true },
    );
    const lines = (data.blocks ?? [])
      .flatMap((block) => block.paragraphs)
      .flatMap((paragraph) => paragraph.lines);
    const words = lines.flatMap((line) => line.words).map(({ text, confidence }) => ({ text, confidence }));
    send({ kind: "recognised", page: { text: data.text, confidence: data.confidence, words } });
  } catch (error) {
    send({ kind: "failed", reason: error instanceof Error ? error.message : String(error) });
  }
});
