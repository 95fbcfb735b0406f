/** Measurements of the database connections. */
import { Distribution, SHORT_BUCKETS } from "./distribution.ts";
import { Tally } from "./tally.ts";

/** How full a pool of connections is. */
export interface PoolUse {
  readonly open: number;
  readonly idle: number;
  /** Callers that wait for a connection. */
  readonly waiting: number;
}

/** The pools of the store, as it names them. */
export type PoolName = "hot" | "cold";

/** Measures of the store. */
export class DatabaseMeasures {
  /** Seconds from the wish for a connection to the answer. */
  readonly statements: Readonly<Record<PoolName, Distribution>> = {
    hot: new Distribution(SHORT_BUCKETS),
    cold: new Distribution(SHORT_BUCKETS),
  };
  /** Statements that failed, by SQLSTATE or the driver's code. */
  readonly errors = new Tally(100);
  /** Set by the store. */
  readonly pools = new Map<PoolName, () => PoolUse>();
  /** False while notifications of other schedulers do not arrive. */
  listening = false;
}
