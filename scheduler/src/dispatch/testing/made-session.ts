/** Makes sessions for tests. */
import { HELLO } from "../../domain/testing/made-records.ts";
import type { WorkerHello } from "../../domain/workers/worker.ts";
import type { WorkerLink } from "../sessions/link.ts";
import { Session } from "../sessions/session.ts";

/** What is particular about a session that a test makes. */
export interface SessionPlan {
  /** Its number, 1 by default; its worker is `w-` and this number. */
  readonly id?: number;
  /** Task types with their limits; 0 for those that only the slots bound. */
  readonly types: Readonly<Record<string, number>>;
  /** `default` by default. */
  readonly queues?: readonly string[];
  /** 1 by default. */
  readonly slots?: number;
  /** 0 by default. */
  readonly prefetch?: number;
  /** None by default. */
  readonly capacities?: Readonly<Record<string, number>>;
  /** The build that it says; none by default. */
  readonly build?: string;
  /** Payload that it takes ahead; the scheduler's default by default. */
  readonly assignmentBytes?: number;
  /** True by default. */
  readonly ready?: boolean;
  readonly draining?: boolean;
  /** When it connected (monotonic), 0 by default. */
  readonly now?: number;
  /** What the scheduler is to do with the worker; what is not given does nothing. */
  readonly link?: Partial<WorkerLink>;
}

/** A hello, for the queue `default` unless others are given. */
export function madeHello(
  plan: Pick<
    SessionPlan,
    "types" | "queues" | "slots" | "prefetch" | "capacities" | "assignmentBytes" | "build"
  >,
): WorkerHello {
  return {
    ...HELLO,
    types: Object.entries(plan.types).map(([type, concurrency]) => ({ type, concurrency })),
    queues: plan.queues ?? HELLO.queues,
    slots: plan.slots ?? 1,
    prefetch: plan.prefetch ?? 0,
    capacities: plan.capacities ?? {},
    ...(plan.build === undefined ? {} : { buildId: plan.build }),
    assignmentBytes: plan.assignmentBytes ?? 0,
  };
}

/** A session as a registration makes it, in the queue `default` unless others are given. */
export function madeSession(plan: SessionPlan): Session {
  const { id = 1, ready = true, draining = false, link, now = 0 } = plan;
  return new Session({
    id,
    uuid: `u${id}`,
    workerId: `w-${id}`,
    hello: madeHello(plan),
    phases: [],
    ready,
    draining,
    link: madeLink(link),
    now,
  });
}

function nothing(): void {}

/** A stream that takes everything and answers nothing, with what the test gives. */
export function madeLink(given: Partial<WorkerLink> = {}): WorkerLink {
  return {
    assign: nothing,
    cancel: nothing,
    revoke: nothing,
    ackCheckpoint: nothing,
    ackResults: nothing,
    ackLogs: nothing,
    drain: nothing,
    pause: nothing,
    resume: nothing,
    quarantined: nothing,
    quarantineEnded: nothing,
    queueView: nothing,
    prepare: nothing,
    releaseResource: nothing,
    requestStack: nothing,
    close: nothing,
    unreadCount: 0,
    ...given,
  };
}
