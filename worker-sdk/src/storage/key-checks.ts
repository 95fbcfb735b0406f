/** Checks that stores share. */
import { keyFault } from "./object-key.ts";
import { StoreError } from "./object-store.ts";

/** The key. @throws StoreError `OBJECT_KEY_REFUSED` when it may lead out of the store or cannot be stored everywhere. */
export function checkedKey(key: string): string {
  const fault = keyFault(key);
  if (fault !== undefined)
    throw new StoreError(
      "OBJECT_KEY_REFUSED",
      `The key ${JSON.stringify(key.slice(0, 128))} is refused: ${fault}.`,
    );
  return key;
}

/** The error of an object that does not exist. */
export function missing(uri: string, cause?: unknown): StoreError {
  return new StoreError("OBJECT_MISSING", `There is no object ${uri}.`, { cause });
}

/** True for a system error with one of these codes. */
export function hasCode(error: unknown, ...codes: readonly string[]): boolean {
  return error instanceof Error && "code" in error && codes.some((code) => code === error.code);
}
