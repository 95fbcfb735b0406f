/** The options of an S3 store. */

import { type Environment, processEnvironment } from "./connection-options.ts";
import { type OptionNames, unknownOptions } from "./known-options.ts";
import { numberSetting } from "./option-checks.ts";
import { OptionsError } from "./options-error.ts";

const NAMES: OptionNames<S3StoreOptions> = {
  bucket: true,
  prefix: true,
  endpoint: true,
  region: true,
  credentials: true,
  partBytes: true,
  timeoutS: true,
};

/** Smallest part that S3 takes, save the last one. */
const MIN_PART_BYTES = 5 * 1024 * 1024;

/** Form of the name of a bucket. */
const BUCKET = /^[A-Za-z0-9][A-Za-z0-9._-]{1,62}$/;

/** Credentials of an S3 service. */
export interface S3Credentials {
  /** Id of the access key. */
  readonly accessKeyId: string;
  /** Secret of the access key. */
  readonly secretAccessKey: string;
  /** Of temporary credentials. @default none */
  readonly sessionToken?: string | undefined;
}

/**
 * Options of `S3Store`.
 *
 * @example
 * ```ts
 * const options: S3StoreOptions = {
 *   endpoint: "https://s3.eu-central-1.amazonaws.com",
 *   region: "eu-central-1",
 *   bucket: "acme-results",
 *   credentials: fromNodeProviderChain(), // of @aws-sdk/credential-providers
 * };
 * ```
 */
export interface S3StoreOptions {
  /** The bucket, which has to exist. */
  readonly bucket: string;
  /** What all keys begin with, for example `muster/production`. @default nothing */
  readonly prefix?: string;
  /**
   * URL of the service, without the bucket.
   * @default `AWS_ENDPOINT_URL_S3`, else `AWS_ENDPOINT_URL`, else that of Amazon in the region
   */
  readonly endpoint?: string;
  /** Region of the bucket. @default `AWS_REGION`, else `us-east-1` */
  readonly region?: string;
  /**
   * Credentials, or a function that returns them; it is called for every request and keeps what is valid by itself.
   * @default `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY` and `AWS_SESSION_TOKEN`
   */
  readonly credentials?: S3Credentials | (() => S3Credentials | Promise<S3Credentials>);
  /**
   * Objects that are larger are put in parts of this size, four at a time: 5,242,880 to 1,073,741,824 bytes. An upload holds
   * four parts in memory.
   * @default 8388608: 8 MiB
   */
  readonly partBytes?: number;
  /** Longest time of a request, or for its answer to begin, in seconds, 1 to 3600. @default 300 */
  readonly timeoutS?: number;
}

/** The options with their effective values. */
export interface S3Settings {
  /** URL of the bucket, with a slash at its end. */
  readonly bucketUrl: string;
  readonly bucket: string;
  /** Empty, or with a slash at its end. */
  readonly prefix: string;
  readonly region: string;
  readonly credentials: () => S3Credentials | Promise<S3Credentials>;
  readonly partBytes: number;
  readonly timeoutMs: number;
}

/** Checks the options. @throws OptionsError with every fault; none has a secret. */
export function compileS3Options(options: S3StoreOptions, env: Environment = processEnvironment): S3Settings {
  const faults: string[] = [...unknownOptions(options, NAMES)];
  const { bucket, prefix = "" } = options;
  if (typeof bucket !== "string" || !BUCKET.test(bucket))
    faults.push(`option bucket: ${JSON.stringify(bucket)} must match ${BUCKET.source}`);
  const trimmed = prefix.replaceAll(/^\/+|\/+$/g, "");
  const region = options.region ?? (env.AWS_REGION || "us-east-1");
  const endpoint =
    options.endpoint ??
    (env.AWS_ENDPOINT_URL_S3 || env.AWS_ENDPOINT_URL || `https://s3.${region}.amazonaws.com`);
  if (!URL.canParse(endpoint) || !/^https?:$/.test(new URL(endpoint).protocol))
    faults.push(`option endpoint: ${JSON.stringify(endpoint)} is not an http or https URL`);
  const bounds = { min: MIN_PART_BYTES, max: 1024 ** 3, integer: true };
  const settings = {
    bucketUrl: `${endpoint.replace(/\/+$/, "")}/${bucket}/`,
    bucket,
    prefix: trimmed === "" ? "" : `${trimmed}/`,
    region,
    credentials: credentialsOf(options, env, faults),
    partBytes: numberSetting(
      { option: ["partBytes", options.partBytes], default: 8 * 1024 * 1024 },
      bounds,
      {},
      faults,
    ),
    timeoutMs:
      numberSetting(
        { option: ["timeoutS", options.timeoutS], default: 300 },
        { min: 1, max: 3_600 },
        {},
        faults,
      ) * 1000,
  };
  if (faults.length > 0) throw new OptionsError("S3Store", faults);
  return settings;
}

function credentialsOf(
  { credentials }: S3StoreOptions,
  env: Environment,
  faults: string[],
): () => S3Credentials | Promise<S3Credentials> {
  if (typeof credentials === "function") return credentials;
  const { accessKeyId, secretAccessKey, sessionToken } = credentials ?? {
    accessKeyId: env.AWS_ACCESS_KEY_ID ?? "",
    secretAccessKey: env.AWS_SECRET_ACCESS_KEY ?? "",
    sessionToken: env.AWS_SESSION_TOKEN || undefined,
  };
  if (!accessKeyId || !secretAccessKey)
    faults.push(
      "option credentials: is missing; give { accessKeyId, secretAccessKey } or a function, or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
    );
  return () => ({ accessKeyId, secretAccessKey, sessionToken });
}
