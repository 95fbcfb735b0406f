/** Writes names into the commands of remedies. */

/** A key as an argument of a command in a shell. */
export function shellWord(text: string): string {
  return /^[A-Za-z0-9._:/@-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}
