/** Fewer make submits, results or reads fail: three pipelines, a listener, and four for everything else. */
export const LEAST_CONNECTIONS = 8;

/** A limit on the connections of a role, a database or a server, and how many are open. */
export interface ConnectionLimit {
  /** As part of a sentence. */
  readonly of: string;
  readonly limit: number;
  readonly used: number;
  /** The command or setting that raises it, without the number. */
  readonly raise: string;
}

/** What a scheduler has and wants of connections. */
export interface ConnectionNeed {
  /** Open already. */
  readonly own: number;
  /** The most that it opens. */
  readonly most: number;
}

/** A limit that leaves a scheduler less than it wants. */
export interface ConnectionShortage extends ConnectionLimit {
  /** Connections that the scheduler has or can open. */
  readonly left: number;
  /** The numbers, as a sentence without its end. */
  readonly says: string;
  /** What to do. */
  readonly remedy: string;
}

/** The limit that leaves the fewest connections, when it leaves fewer than `wanted`. */
export function shortageOf(
  limits: readonly ConnectionLimit[],
  { own, most }: ConnectionNeed,
  wanted: number,
): ConnectionShortage | undefined {
  const [least] = limits
    .map((each) => ({ ...each, left: Math.max(0, each.limit - Math.max(0, each.used - own)) }))
    .toSorted((a, b) => a.left - b.left);
  if (least === undefined || least.left >= wanted) return undefined;
  const { of, limit, used, raise, left } = least;
  const fewer =
    left >= LEAST_CONNECTIONS ? `, or let the scheduler open fewer (--database-connections ${left})` : "";
  return {
    ...least,
    says: `the connection limit of ${of} is ${limit}, ${used} of them are open, and a scheduler needs at least ${LEAST_CONNECTIONS} (up to ${most})`,
    remedy: `raise it (${raise} ${Math.max(0, used - own) + most}), or end sessions that are not needed${fewer}`,
  };
}
