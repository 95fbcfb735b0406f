/** The tags of a task, and those that a list asks for, checked. */
import { NAME, NAME_RULE } from "@muster/common/text/name-forms";
import { quoted } from "@muster/common/text/text";

/** Tags of a task. Each of them is an entry of an index. */
const MAX_TAGS = 8;

/** Undefined for none. */
export function toTags(
  tags: readonly string[],
  report: (field: string, description: string) => void,
): readonly string[] | undefined {
  if (tags.length === 0) return undefined;
  if (tags.length > MAX_TAGS) report("tags", `has ${tags.length} entries; at most ${MAX_TAGS} are allowed`);
  const seen = new Set<string>();
  tags.forEach((tag, index) => {
    if (!NAME.test(tag)) report(`tags[${index}]`, `${quoted(tag, 140)} ${NAME_RULE}`);
    else if (seen.has(tag))
      report(`tags[${index}]`, `${quoted(tag, 140)} is given twice; give each tag once`);
    seen.add(tag);
  });
  return tags;
}
