import { bulkCancel } from "./bulk-cancel.ts";
import { classes } from "./classes.ts";
import { depth } from "./depth.ts";
import { fleetIdle } from "./fleet-idle.ts";
import { fleetLoss } from "./fleet-loss.ts";
import { fleetStorm } from "./fleet-storm.ts";
import { flowControl } from "./flow-control/flow-control.ts";
import { growth } from "./growth.ts";
import type { Measure } from "./measure.ts";
import { sdkCost } from "./sdk-cost/sdk-cost.ts";

/** Measures of Muster alone: how much it holds, how deep it goes, what it costs, how it grows. */
export const CAPACITY: readonly Measure[] = [
  fleetIdle,
  fleetLoss,
  fleetStorm,
  depth,
  classes,
  flowControl,
  bulkCancel,
  sdkCost,
  growth,
];
