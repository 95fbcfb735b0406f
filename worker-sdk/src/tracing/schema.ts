/** The semantic conventions that this package's spans, metrics and resource follow. */
export const SCHEMA_URL = "https://opentelemetry.io/schemas/1.41.0";
