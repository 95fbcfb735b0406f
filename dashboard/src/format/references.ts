/** Finds tasks, workers and queues in the sentences of the scheduler. */

/** A part of a sentence: text, a command, or the name of something that has a page. */
export type Part =
  | { readonly kind: "text" | "command"; readonly text: string }
  | { readonly kind: "task" | "worker" | "queue"; readonly text: string; readonly id: string };

const NAME = "[A-Za-z0-9][A-Za-z0-9._:/-]{0,127}";
const REFERENCE = new RegExp(
  String.raw`\`(?<command>[^\`]{1,300})\`|\b(?<task>t-\d{1,19})(?:\.\d+)?\b|\bqueue[ :](?<queue>${NAME})|\bworker[ :](?<worker>${NAME})`,
  "g",
);

/** Words that follow `queue` and `worker` in sentences and are no names. */
const WORDS = new Set(
  "that has have is was are and or of in on can may with for to s which by does runs takes process session id name".split(
    " ",
  ),
);

/** The sentence in parts; joined they are the sentence. */
export function parts(sentence: string): Part[] {
  const found: Part[] = [];
  let end = 0;
  const upTo = (index: number) => {
    if (index > end) found.push({ kind: "text", text: sentence.slice(end, index) });
  };
  for (const match of sentence.matchAll(REFERENCE)) {
    const { command, task, queue, worker } = match.groups ?? {};
    const part = toPart(match[0], { command, task, queue: withoutStop(queue), worker: withoutStop(worker) });
    if (!part) continue;
    upTo(match.index);
    found.push(part);
    end = match.index + part.text.length;
  }
  upTo(sentence.length);
  return found;
}

interface Groups {
  readonly command: string | undefined;
  readonly task: string | undefined;
  readonly queue: string | undefined;
  readonly worker: string | undefined;
}

function toPart(text: string, { command, task, queue, worker }: Groups): Part | undefined {
  if (command !== undefined) return { kind: "command", text };
  if (task !== undefined) return { kind: "task", text, id: task };
  if (queue !== undefined && !WORDS.has(queue))
    return { kind: "queue", text: `${text.slice(0, 6)}${queue}`, id: queue };
  // A single word may be anything: the names of workers have a digit or a mark.
  if (worker !== undefined && /[\d._:/-]/.test(worker))
    return { kind: "worker", text: `${text.slice(0, 7)}${worker}`, id: worker };
  return undefined;
}

/** Without the mark that ends the sentence. */
function withoutStop(name: string | undefined): string | undefined {
  return name?.replace(/[.:/-]+$/, "");
}

/** What a sentence names, each once. */
export function references(sentence: string): { kind: "task" | "worker" | "queue"; id: string }[] {
  const found = new Map<string, { kind: "task" | "worker" | "queue"; id: string }>();
  for (const part of parts(sentence.replaceAll("`", " "))) {
    if (!("id" in part)) continue;
    found.set(`${part.kind} ${part.id}`, { kind: part.kind, id: part.id });
  }
  return [...found.values()];
}
