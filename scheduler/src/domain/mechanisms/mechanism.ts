/** The mechanisms by which a scheduler acts on tasks and workers by itself, and the modes that each of them may have. */

/** `off`: it does nothing. `observe`: it logs and counts what it would have done. `act`: it does it. */
export const MODES = ["off", "observe", "act"] as const;
export type Mode = (typeof MODES)[number];

/** A mechanism as `muster doctor` and the documentation describe it. */
export interface Mechanism {
  /** What it does in mode `act`. */
  readonly does: string;
  /** What holds while it does not act. */
  readonly otherwise: string;
  /** What the metric counts, and what a log line names. */
  readonly counts: "attempt" | "circuit" | "task" | "worker";
  /** A queue may have a mode of its own. */
  readonly perQueue: boolean;
}

/**
 * Every mechanism that has a mode. Fencing is none: a report of an older epoch changes nothing in every mode, and a worker
 * process that replaces another, says goodbye or was seen to end gives up its attempts in every mode.
 */
export const MECHANISMS = {
  recovery: {
    does: "ends the session of a worker whose lease and grace are over, and requeues its attempts",
    otherwise: "the worker stays suspect and keeps its attempts until it returns or its process is replaced",
    counts: "attempt",
    perQueue: false,
  },
  unaccepted: {
    does: "requeues an assignment that its worker has not accepted within the accept deadline",
    otherwise: "the assignment stays at its worker, which may still accept it",
    counts: "attempt",
    perQueue: true,
  },
  forgotten: {
    does: "requeues an attempt that its worker accepted and has not listed in its heartbeats for a lease",
    otherwise: "the attempt stays at its worker until that reports a result or ends",
    counts: "attempt",
    perQueue: true,
  },
  attempt_limits: {
    does: "ends a task whose attempts have used up the retries of its policy",
    otherwise:
      "the task is retried after the last wait of its policy; a policy without retries still ends it",
    counts: "task",
    perQueue: true,
  },
  poison: {
    does: "lets a task whose worker processes died run alone in its process, and ends it after three deaths",
    otherwise: "the task runs beside others, and its deaths count against its attempts only",
    counts: "task",
    perQueue: true,
  },
  circuits: {
    does: "opens the circuit of tasks that fail too often",
    otherwise:
      "the circuit keeps its state, and results are counted; an open circuit is still probed and closed",
    counts: "circuit",
    perQueue: false,
  },
  quarantine: {
    does: "assigns single probes to a worker that fails far more often than its peers",
    otherwise: "the worker is assigned tasks as any other, and a quarantine that it has is ended",
    counts: "worker",
    perQueue: false,
  },
} as const satisfies Record<string, Mechanism>;

export type MechanismName = keyof typeof MECHANISMS;

export const MECHANISM_NAMES = Object.keys(MECHANISMS) as readonly MechanismName[];

/**
 * Mechanisms for which a queue may have a mode. A session has attempts of several queues and is ended as a whole, a circuit has
 * tasks of several queues, and a worker serves several.
 */
export type QueueMechanism = {
  [Name in MechanismName]: (typeof MECHANISMS)[Name]["perQueue"] extends true ? Name : never;
}[MechanismName];

export function isQueueMechanism(name: MechanismName): name is QueueMechanism {
  return MECHANISMS[name].perQueue;
}

export const QUEUE_MECHANISMS = MECHANISM_NAMES.filter(isQueueMechanism);

/** Modes that a queue has of its own. */
export type QueueModes = Readonly<Partial<Record<QueueMechanism, Mode>>>;

/** A mode for each mechanism. */
export type Modes = Readonly<Record<MechanismName, Mode>>;

/** Some mechanisms with their modes. */
export type SomeModes = Readonly<Partial<Record<MechanismName, Mode>>>;

/** The name that stands for every mechanism in a setting. */
const ALL = "all";

export const ACT: Modes = modesOf("act");

/** What a mechanism would have done. */
export interface Observation {
  readonly mechanism: MechanismName;
  /** For example `requeue`, `end_task`, `open`. */
  readonly would: string;
  /** One sentence with the facts that decided. */
  readonly reason: string;
}

/** Modes that an attempt's end depends on. */
export type OutcomeModes = Pick<Modes, "attempt_limits" | "poison">;

function modesOf(mode: Mode): Modes {
  return Object.fromEntries(MECHANISM_NAMES.map((name) => [name, mode])) as Modes;
}

/**
 * The modes of `MECHANISM=MODE,...`; a later entry overrides an earlier one, so `all=observe,circuits=act` sets all but one.
 *
 * @returns The modes, and one sentence for each entry that is not understood.
 */
export function parseModes(text: string): { modes: Modes; faults: string[] } {
  let modes = ACT;
  const faults: string[] = [];
  for (const part of text.split(",").map((piece) => piece.trim())) {
    if (part === "") continue;
    const [, name = "", mode = ""] = /^([a-z_]+)=([a-z]+)$/.exec(part) ?? [];
    if (!isMode(mode) || !(name === ALL || isMechanism(name))) faults.push(notUnderstood(part));
    else modes = name === ALL ? modesOf(mode) : { ...modes, [name]: mode };
  }
  return { modes, faults };
}

function notUnderstood(part: string): string {
  const shown = part.length > 60 ? `${part.slice(0, 60).toWellFormed()}...` : part;
  return `"${shown}" is not MECHANISM=MODE; mechanisms are ${ALL}, ${MECHANISM_NAMES.join(", ")}; modes are ${MODES.join(", ")}`;
}

export function isMode(text: string): text is Mode {
  return (MODES as readonly string[]).includes(text);
}

export function isMechanism(text: string): text is MechanismName {
  return Object.hasOwn(MECHANISMS, text);
}

/** `recovery observe, circuits off`: the modes that are not `act`, in the order of the registry; empty when all act. */
export function modesInWords(modes: SomeModes): string {
  return notActing(modes)
    .map(([name, mode]) => `${name} ${mode}`)
    .join(", ");
}

/** The mechanisms that do not act, in the order of the registry. */
export function notActing(modes: SomeModes): (readonly [MechanismName, Exclude<Mode, "act">])[] {
  return MECHANISM_NAMES.flatMap((name) => {
    const mode = modes[name];
    return mode === undefined || mode === "act" ? [] : [[name, mode] as const];
  });
}
