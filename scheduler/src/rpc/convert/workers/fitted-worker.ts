/** Shortens a worker to the size of a message. */
import { toBinary } from "@bufbuild/protobuf";
import { type Worker, WorkerSchema } from "@muster/protocol";
import { mostBytes } from "../values/message-size.ts";

/** Entries of a list that has to be cut. */
const KEPT = 100;

/** Ways to make a worker's record smaller, the least missed first; each names what it leaves out. */
const CUTS: readonly { readonly field: string; readonly cut: (worker: Worker) => void }[] = [
  // The same as `running`.
  {
    field: "last_heartbeat.running",
    cut: ({ lastHeartbeat }) => lastHeartbeat && Object.assign(lastHeartbeat, { running: [] }),
  },
  { field: "startup_phases.attributes", cut: dropAttributes },
  { field: "running", cut: ({ running }) => running.splice(KEPT) },
  {
    field: "last_heartbeat.resource_states",
    cut: ({ lastHeartbeat }) => lastHeartbeat?.resourceStates.splice(KEPT),
  },
  {
    field: "last_heartbeat.resources",
    cut: ({ lastHeartbeat }) => lastHeartbeat?.resources.splice(KEPT),
  },
  { field: "resources", cut: ({ resources }) => resources.splice(KEPT) },
  { field: "startup_phases", cut: cutPhases },
];

/** The worker within a message of about `maxBytes`: what does not fit is left out and named. Changes it. */
export function fittedWorker(worker: Worker, maxBytes: number): Worker {
  for (const { field, cut } of CUTS) {
    const before = mostBytes(worker);
    // The estimate is too high: measure before cutting.
    if (before <= maxBytes || toBinary(WorkerSchema, worker).byteLength <= maxBytes) break;
    cut(worker);
    if (mostBytes(worker) < before) worker.omittedFields.push(field);
  }
  return worker;
}

function dropAttributes({ startupPhases, launch }: Worker): void {
  for (const phase of [...startupPhases, ...(launch?.startupPhases ?? [])]) phase.attributes = {};
}

/** The last phase shows how the start ended. */
function cutPhases({ startupPhases, launch }: Worker): void {
  for (const phases of [startupPhases, launch?.startupPhases ?? []])
    phases.splice(0, Math.max(0, phases.length - KEPT));
}
