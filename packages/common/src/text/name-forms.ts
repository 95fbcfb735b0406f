/** Forms of names and ids, each with its rule in words. The protocol's comments state the same patterns for porters. */

/** Form of task types, queue names and launch ids. */
export const NAME = /^[A-Za-z0-9][A-Za-z0-9._:/-]{0,127}$/;
export const NAME_RULE = "must start with a letter or digit and hold at most 128 of A-Z a-z 0-9 . _ : / -";

/** Form of worker ids. */
export const WORKER_ID = /^[A-Za-z0-9][A-Za-z0-9._:@/-]{0,127}$/;
export const WORKER_ID_RULE =
  "must start with a letter or digit and hold at most 128 of A-Z a-z 0-9 . _ : @ / -";

/** Form of ids of builds: versions, commits and tags of images have it. */
export const BUILD_ID = /^[A-Za-z0-9][A-Za-z0-9._:@/+-]{0,127}$/;
export const BUILD_ID_RULE =
  "must start with a letter or digit and hold at most 128 of A-Z a-z 0-9 . _ : @ / + -";

/** Form of the id of a request that may be repeated. It holds no colon. */
export const REQUEST_ID = /^[A-Za-z0-9._-]{1,128}$/;
export const REQUEST_ID_RULE = "must hold 1 to 128 of A-Z a-z 0-9 . _ -";

/** Form of a failure code. */
export const FAILURE_CODE = /^[A-Z][A-Z0-9_]{0,63}$/;

/** Form of the name of a phase of an attempt. Only workers check it. */
export const PHASE_NAME = /^[a-z][a-z0-9_]{0,63}$/;

/** Form of the unit of counts, for example `bytes`. */
export const UNIT_NAME = /^[a-z][a-z0-9_]{0,31}$/;
