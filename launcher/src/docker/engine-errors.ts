/** What goes wrong with the engine: it cannot be asked, or it refuses. */

/** The engine cannot be asked: it does not run, is not where it is looked for, or does not answer. */
export class EngineUnreachable extends Error {}

/** The engine's answer to a call that it does not carry out. */
export class EngineRefusal extends Error {
  /** HTTP status. */
  readonly status: number;

  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

/**
 * What an engine answers with 500 while it stops, up to ten seconds long (20.10): its own stores or its containerd are closed. A
 * start that fails so says nothing of what is started.
 */
const STOPPING =
  /failed to update store for object type|connection is closing|transport is closing|containerd\.sock|shutting down/;

/** True for an error of an engine that stops, which the next one does not have. */
export function isOfStoppingEngine(message: string): boolean {
  return STOPPING.test(message);
}

/** What the client library throws, as one of the two. */
export function toEngineError(error: unknown): EngineUnreachable | EngineRefusal {
  if (error instanceof EngineUnreachable || error instanceof EngineRefusal) return error;
  const status = error instanceof Error && "statusCode" in error ? Number(error.statusCode) : 0;
  if (status >= 500 && isOfStoppingEngine(sentenceOf(error as Error)))
    return new EngineUnreachable(`it stops: ${sentenceOf(error as Error)}`);
  // An engine that is shutting down answers 503.
  if (status > 0 && status !== 503) return new EngineRefusal(status, sentenceOf(error as Error));
  if (error instanceof Error && error.name === "TimeoutError")
    return new EngineUnreachable("it did not answer in time");
  return new EngineUnreachable(error instanceof Error ? error.message : String(error));
}

/** The engine's own sentence; the library puts the status before it. */
function sentenceOf(error: Error): string {
  const { json } = error as Error & { json?: unknown };
  if (typeof json === "object" && json !== null && "message" in json) return String(json.message).trim();
  return error.message.replace(/^\(HTTP code \d+\) .*? - /, "").trim();
}
