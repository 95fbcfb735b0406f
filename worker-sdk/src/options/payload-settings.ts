/** Checks the option `payloads`. */

import type { PayloadCodec } from "../payloads/codec.ts";
import type { ClaimCheckOptions, PayloadOptions, PayloadSettings } from "../payloads/payload-options.ts";
import { checkedStore } from "./artifact-settings.ts";
import { type OptionNames, unknownOptions } from "./known-options.ts";
import { numberSetting } from "./option-checks.ts";

const NAMES: OptionNames<PayloadOptions> = { codecs: true, claimCheck: true, maxBytes: true };

const CLAIM_NAMES: OptionNames<ClaimCheckOptions> = { store: true, aboveBytes: true };

/** Names of codecs. */
const CODEC_NAME = /^[a-z0-9][a-z0-9.-]{0,63}$/;

/** Most codecs. */
const MAX_CODECS = 8;

/** Reads the option `payloads`; undefined when nothing is encoded. Faults are added to `faults`. */
export function resolvePayloads(
  option: PayloadOptions | undefined,
  faults: string[],
): PayloadSettings | undefined {
  if (option === undefined) return undefined;
  if (typeof option !== "object" || option === null) {
    faults.push(`option payloads: is ${String(option)}; give { codecs, claimCheck, maxBytes }`);
    return undefined;
  }
  faults.push(
    ...unknownOptions(option, NAMES, "payloads."),
    ...unknownOptions(option.claimCheck, CLAIM_NAMES, "payloads.claimCheck."),
  );
  const { codecs = [], claimCheck, maxBytes } = option;
  checkCodecs(codecs, faults);
  return {
    codecs: [...codecs],
    store: claimCheck && checkedStore("payloads.claimCheck.store", claimCheck.store, faults),
    aboveBytes: numberSetting(
      { option: ["payloads.claimCheck.aboveBytes", claimCheck?.aboveBytes], default: 256 * 1024 },
      { min: 0, max: 2 ** 30, integer: true },
      {},
      faults,
    ),
    maxBytes: numberSetting(
      { option: ["payloads.maxBytes", maxBytes], default: 256 * 1024 * 1024 },
      { min: 1, max: 2 ** 31, integer: true },
      {},
      faults,
    ),
  };
}

function checkCodecs(codecs: readonly PayloadCodec[], faults: string[]): void {
  if (codecs.length > MAX_CODECS)
    faults.push(`option payloads.codecs: ${codecs.length} codecs; at most ${MAX_CODECS}`);
  const names = new Set<string>();
  let encrypted = false;
  for (const [index, codec] of codecs.entries()) {
    const { name, encode, decode } = Object(codec);
    if (typeof name !== "string" || typeof encode !== "function" || typeof decode !== "function") {
      faults.push(`option payloads.codecs[${index}]: is not { name, encode, decode }`);
      continue;
    }
    if (!CODEC_NAME.test(name))
      faults.push(`option payloads.codecs[${index}].name: "${name}" must match ${CODEC_NAME.source}`);
    if (names.has(name))
      faults.push(`option payloads.codecs: "${name}" is there twice; give each codec once`);
    names.add(name);
    // Encrypted bytes do not become smaller.
    if (encrypted && ["gzip", "brotli", "zstd"].includes(name))
      faults.push(`option payloads.codecs: "${name}" follows aes-256-gcm; put compression before encryption`);
    encrypted ||= name === "aes-256-gcm";
  }
}
