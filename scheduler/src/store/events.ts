/** The role of the store that appends and reads events. */

/** An event to append. */
export interface NewEvent {
  readonly name: string;
  readonly taskId?: number;
  readonly epoch?: number;
  readonly sessionId?: number;
  readonly workerId?: string;
  readonly sequence?: number;
  readonly attributes?: Readonly<Record<string, string>>;
  /** How long before the write it happened, milliseconds; 0 by default. */
  readonly ageMs?: number;
}

/** An event as read; an event of many tasks is read as one event for each. */
export interface EventRecord {
  readonly id: number;
  readonly time: Date;
  readonly name: string;
  readonly taskId: number | undefined;
  readonly epoch: number | undefined;
  readonly workerId: string | undefined;
  readonly attributes: Readonly<Record<string, string>>;
}

/** Events of tasks and workers. */
export interface EventStore {
  appendEvents(events: readonly NewEvent[]): Promise<void>;
  /** Events of one task that its own row does not record, oldest first. */
  taskEvents(taskId: number, limit: number): Promise<EventRecord[]>;
  /** The latest of them, oldest first. */
  latestTaskEvents(taskId: number, limit: number): Promise<EventRecord[]>;
  /** The latest requeues of one task that raised its cost (attribute `cost_raised`), oldest first. */
  costRaises(taskId: number, limit: number): Promise<EventRecord[]>;
  workerEvents(workerId: string, afterId: number, limit: number): Promise<EventRecord[]>;
  /** The newest event of a session with one of these names. */
  lastWorkerEvent(
    workerId: string,
    sessionId: number,
    names: readonly string[],
  ): Promise<EventRecord | undefined>;
  recentEvents(beforeId: number | undefined, limit: number): Promise<EventRecord[]>;
  eventsAfter(afterId: number, limit: number): Promise<EventRecord[]>;
  lastEventId(): Promise<number>;
}
