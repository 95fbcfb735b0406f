/** Name of this SDK in Hello. */
export const SDK_NAME = "@muster/worker";
/** Version of this package; a test compares it with package.json. */
export const SDK_VERSION = "0.1.0";
/** Language of this SDK. */
export const SDK_LANGUAGE = "typescript";
