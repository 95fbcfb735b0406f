/** Handlers that are in a program that is not this SDK's. */
import type { Outcome } from "../link/outcome.ts";
import type { Attempt } from "./attempt.ts";
import type { ExecuteOptions } from "./execute.ts";

/** Runs attempts in another program. */
export interface ElsewhereHandler {
  /** Runs an attempt to its outcome. Never rejects. */
  run(attempt: Attempt, options: ExecuteOptions): Promise<Outcome>;
}
