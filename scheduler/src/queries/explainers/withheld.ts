/** Finds the mechanisms whose modes keep them from acting on a task or worker. */
import type { Withheld, WithheldModes } from "../../domain/explain/not-acting.ts";
import {
  ACT,
  isQueueMechanism,
  MECHANISM_NAMES,
  type MechanismName,
  type Mode,
} from "../../domain/mechanisms/mechanism.ts";
import type { SchedulerReport } from "../../domain/reports.ts";
import type { ExplainerParts } from "./explainer-parts.ts";

/** A scheduler's modes with the age of its announcement. */
interface Announced {
  readonly id: string;
  readonly modes: Partial<Record<MechanismName, Mode>>;
  readonly ageMs: number;
}

/**
 * The modes of a queue come first. Without one, `recovery` is withheld when no living scheduler acts, because each of them
 * recovers the workers of all; the others are withheld by the scheduler that holds the worker's stream.
 *
 * @param queue Undefined for a worker, whose attempts may be of several queues.
 * @param holderId The scheduler that holds the worker's stream; undefined for a task that no worker holds, of which any
 *   scheduler may decide.
 */
export async function readWithheld(
  { store, mechanisms, schedulerId }: Pick<ExplainerParts, "mechanisms" | "schedulerId" | "store">,
  queue: string | undefined,
  holderId: string | undefined,
  now: Date,
): Promise<WithheldModes> {
  const schedulers = announced(await store.listSchedulers(), schedulerId, mechanisms.modes, now);
  const withheld: Partial<Record<MechanismName, Withheld>> = {};
  for (const name of MECHANISM_NAMES) {
    const own = isQueueMechanism(name) ? mechanisms.queueModes(queue)?.[name] : undefined;
    const deciding =
      name === "recovery" || holderId === undefined
        ? schedulers
        : schedulers.filter(({ id }) => id === holderId);
    const found = own === undefined ? withheldBy(name, deciding) : withheldFor(queue, own);
    if (found) withheld[name] = found;
  }
  return withheld;
}

function announced(
  all: readonly SchedulerReport[],
  selfId: string,
  selfModes: Announced["modes"],
  now: Date,
): Announced[] {
  const others = all.filter(({ id, leaseUntil }) => id !== selfId && leaseUntil >= now);
  return [
    { id: selfId, modes: selfModes, ageMs: 0 },
    ...others.map(({ id, status, announceTime }) => ({
      id,
      modes: status?.modes ?? ACT,
      ageMs: now.getTime() - announceTime.getTime(),
    })),
  ];
}

/** Undefined when one of the schedulers acts, or none is known. */
function withheldBy(name: MechanismName, schedulers: readonly Announced[]): Withheld | undefined {
  const modes = schedulers.map((each) => each.modes[name] ?? "act");
  if (modes.length === 0 || modes.includes("act")) return undefined;
  return {
    mode: modes.includes("observe") ? "observe" : "off",
    schedulers: schedulers.map(({ id }) => id),
    ageMs: Math.max(...schedulers.map(({ ageMs }) => ageMs)),
  };
}

function withheldFor(queue: string | undefined, mode: Mode): Withheld | undefined {
  return mode === "act" ? undefined : { mode, queue, schedulers: [], ageMs: 0 };
}
