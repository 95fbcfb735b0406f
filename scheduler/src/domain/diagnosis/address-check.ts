/** Checks whether workers were given the address of a scheduler. */
import { plural } from "../explain/reason.ts";
import type { DefaultAddressed } from "../workers/worker-setting.ts";
import { type Check, fact, found, ok } from "./check.ts";

/** Workers named in the check. */
const MAX_NAMED = 5;

/** A note when workers dial the default, which is the loopback address: it works on the scheduler's own machine only. */
export function addressCheck({ count, workers }: DefaultAddressed): Check {
  const name = "workers.addresses";
  const [first] = workers;
  if (!first) return ok(name, "no worker dials the default address");
  return found(
    "note",
    name,
    `${plural(count, "worker")} dial${count === 1 ? "s" : ""} ${first.address}, the default, because no address is set: that is the machine itself, in a container the container`,
    "set MUSTER_SCHEDULER_ADDR to host:port of the scheduler before a worker runs on another machine",
    workers
      .slice(0, MAX_NAMED)
      .map(({ workerId, hostname, address }) => fact(workerId, `on ${hostname}, ${address}`)),
  );
}
