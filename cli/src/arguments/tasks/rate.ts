/** Parses rates: `100/1m` is 100 starts in a minute. */
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { parseDuration } from "@muster/common/duration";
import { InvalidArgumentError } from "commander";

/** A rate; without a burst the bucket holds as many tokens as `limit`. */
export interface Rate {
  readonly limit: number;
  readonly periodMs: number;
  readonly burst?: number;
}

/** A rate limit of a task. */
export interface KeyRate extends Rate {
  readonly key: string;
}

/** A rate of the form `100/1m`, or `100/1m:10` with a burst. @throws InvalidArgumentError */
export function rate(text: string): Rate {
  const groups = /^(?<limit>\d{1,7})\/(?<period>[^:]+)(?::(?<burst>\d{1,7}))?$/.exec(text)?.groups;
  if (!groups)
    throw new InvalidArgumentError(
      `"${text}" is not a rate: write the number of starts and the time, for example 100/1m`,
    );
  try {
    const periodMs = parseDuration(groups.period ?? "");
    const { burst } = groups;
    return {
      limit: Number(groups.limit),
      periodMs,
      ...(burst === undefined ? {} : { burst: Number(burst) }),
    };
  } catch (error) {
    throw new InvalidArgumentError(error instanceof Error ? error.message : String(error));
  }
}

/** A parser of a repeated `key=rate` option. The last `=` divides: a key may have others. */
export function keyRate(text: string, before: readonly KeyRate[] = []): KeyRate[] {
  const at = text.lastIndexOf("=");
  if (at < 1) throw new InvalidArgumentError(`"${text}" is not key=n/period, for example smtp=100/1m`);
  return [...before, { key: text.slice(0, at), ...rate(text.slice(at + 1)) }];
}

/** A rate limit in protobuf. */
export function rateLimitMessage({ key, ...rate }: KeyRate) {
  return { key, ...rateMessage(rate) };
}

/** A rate in protobuf. */
export function rateMessage({ limit, periodMs, burst }: Rate) {
  return { limit, period: durationFromMs(periodMs), burst: burst ?? 0 };
}
