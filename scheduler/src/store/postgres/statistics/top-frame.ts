/** The line of a traceback that names the place of a failure, as SQL. */

const MAX_FRAME = 300;

/**
 * Of JavaScript the first frame of the program itself, else the first one; of Python the last one, which is the innermost.
 * Empty without one.
 *
 * @param failure The column with the failure.
 */
export function topFrame(failure: string): string {
  const matching = (pattern: string) => `substring(${failure} ->> 'traceback' from '${pattern}')`;
  const frames = [
    String.raw`(?n)^\s+at (?!.*(?:node:|/node_modules/))([^\n]+)$`,
    String.raw`(?n)^\s+at ([^\n]+)$`,
    String.raw`^(?:.*\n)?\s+File ("[^"\n]+", line \d+, in [^\n]+)`,
  ];
  return `left(coalesce(${frames.map(matching).join(", ")}, ''), ${MAX_FRAME})`;
}
