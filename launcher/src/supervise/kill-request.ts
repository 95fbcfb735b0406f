/** A request of an operator to end a supervised process. */
export interface KillRequest {
  readonly reason: string;
  /** From SIGTERM to SIGKILL, milliseconds. */
  readonly graceMs: number;
  /** The command is to be started again at once; otherwise not at all. */
  readonly restart: boolean;
}
