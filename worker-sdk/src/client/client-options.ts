/** The options of a client. */
import type { Random } from "../network/backoff.ts";
import type { Connection, ConnectionOptions } from "../options/connection-options.ts";
import { processEnvironment, resolveConnection } from "../options/connection-options.ts";
import { type OptionNames, unknownOptions } from "../options/known-options.ts";
import { numberSetting } from "../options/option-checks.ts";
import { OptionsError } from "../options/options-error.ts";
import { resolvePayloads } from "../options/payload-settings.ts";
import type { PayloadOptions } from "../payloads/payload-options.ts";
import { MAX_TIMEOUT_S } from "./connection/call-limits.ts";
import { ClientPayloads } from "./submit/client-payloads.ts";

const NAMES: OptionNames<ClientOptions> = {
  scheduler: true,
  token: true,
  tls: true,
  timeoutS: true,
  payloads: true,
  random: true,
};

/** Default timeout of a call with one answer: a healthy scheduler needs milliseconds. */
const DEFAULT_TIMEOUT_S = 30;

/**
 * Options of `Client`.
 *
 * @example
 * ```ts
 * const options: ClientOptions = { scheduler: "scheduler.internal:7070", token, timeoutS: 5 };
 * ```
 */
export interface ClientOptions extends ConnectionOptions {
  /**
   * Timeout in seconds of calls with one answer (submits, gets, lists, cancels, everything of `tasks`, `fleet` and
   * `schedules`); the
   * option of the call wins. Watches and `result()` have no timeout: they last as long as the task, and a dead
   * connection is detected within 30 s and dialled again.
   * @default 30
   */
  readonly timeoutS?: number;
  /**
   * How payloads are encoded and results are decoded: compression, encryption, and a store for large ones. The workers need
   * the same option.
   * @default none: payloads are sent as they are, and encoded results throw a PayloadError
   */
  readonly payloads?: PayloadOptions;
  /** Random numbers for the jitter of the delays before a dropped watch is resumed. @default `Math.random` */
  readonly random?: Random;
}

/** Options and environment, checked. */
export interface ClientSettings {
  readonly connection: Connection;
  /** Undefined without the option `payloads`. */
  readonly payloads: ClientPayloads | undefined;
  readonly random: Random;
  readonly timeoutMs: number;
}

/** @throws OptionsError with every fault of the options. */
export function resolveClient(options: ClientOptions): ClientSettings {
  const faults: string[] = [...unknownOptions(options, NAMES)];
  const connection = resolveConnection(options, processEnvironment, faults);
  const timeoutS = numberSetting(
    { option: ["timeoutS", options.timeoutS], default: DEFAULT_TIMEOUT_S },
    { min: 0.001, max: MAX_TIMEOUT_S },
    processEnvironment,
    faults,
  );
  const payloads = resolvePayloads(options.payloads, faults);
  if (faults.length > 0) throw new OptionsError("Client", faults);
  return {
    connection,
    payloads: payloads && new ClientPayloads(payloads),
    random: options.random ?? Math.random,
    timeoutMs: timeoutS * 1000,
  };
}
