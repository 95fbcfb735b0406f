/** The error of a worker whose handlers run elsewhere, as that process has reported it. */

/** What was reported. */
interface Reported {
  readonly className: string;
  readonly traceback: string;
  readonly exitCode: number;
  readonly attemptId?: string;
}

/** An error that ends the worker, made elsewhere: class, traceback and exit code are those of its process. */
export class ReportedError extends Error {
  readonly exitCode: number;
  readonly attemptId: string;

  constructor(message: string, { className, traceback, exitCode, attemptId = "" }: Reported) {
    super(message);
    this.name = className;
    this.stack = traceback;
    this.exitCode = exitCode;
    this.attemptId = attemptId;
  }
}
