/** The first `max` characters (UTF-16 units), well-formed: half a character cannot be written as UTF-8. */
export function cutText(text: string, max: number): string {
  return (text.length > max ? text.slice(0, max) : text).toWellFormed();
}
