/** Environment variables by name. */
export type Environment = Readonly<Record<string, string | undefined>>;

/** The process's environment; nothing else in this package reads it. */
export function processEnvironment(): Environment {
  return process.env;
}
