/** When a starting worker is usually ready, in words. */
import { type EarlierStart, type StartingWorker, usualStartup } from "../../workers/startup-history.ts";
import type { WorkerRecord } from "../../workers/worker.ts";
import { plural, span } from "../reason.ts";

/** `usually ready 42 s after custom:model_load (median of 12 earlier starts), in about 30 s`; empty while not known. */
export function usualWords(worker: StartingWorker, earlier: readonly EarlierStart[]): string {
  const usual = usualStartup(worker, earlier);
  if (!usual) return "";
  const { starts, own, phase, spentMs, restMs, slowRestMs } = usual;
  const of = `median of ${plural(starts, "earlier start")}${own ? "" : ` of pool ${worker.pool}`}`;
  const usually = `usually ready ${span(restMs)} after ${phase ?? "its start"} (${of})`;
  if (spentMs <= restMs) return `${usually}, so in about ${span(restMs - spentMs)}`;
  return spentMs <= slowRestMs
    ? `${usually}, which was ${span(spentMs - restMs)} ago`
    : `${usually}; it takes longer than nine of ten did (${span(slowRestMs)})`;
}

/** The same of a registered worker: its phase `registered` and its connection are of one moment. */
export function usualOfWorker(
  { workerId, phases, connectTime, hello }: WorkerRecord,
  now: Date,
  earlier: readonly EarlierStart[],
): string {
  const registered = phases.find(({ phase }) => phase === "registered");
  if (!registered) return "";
  const ageMs = now.getTime() - connectTime.getTime() + registered.elapsedMs;
  return usualWords({ workerId, pool: hello.pool, phases, ageMs }, earlier);
}
