import assert from "node:assert/strict";
import { test } from "node:test";
import { queueViewLine } from "./queue-view.ts";

const entry = (type: string, ready: number, filter = "", detail = "", queue = "default") => ({
  queue,
  type,
  ready,
  removed_by: filter,
  detail,
});

test("a queue view is one line with depths and why none of it came", () => {
  const cases: [Parameters<typeof queueViewLine>[0], string][] = [
    [[], "Queue empty"],
    [
      [
        entry("llm", 125, "resources", "model:x is not loaded on it"),
        entry("ocr", 3, "type", "it has no handler for ocr", "scans"),
      ],
      "No suitable tasks - queue: [llm: 125, ocr in scans: 3]; llm: model:x is not loaded on it (resources); ocr in scans: it has no handler for ocr (type)",
    ],
    [
      [entry("llm", 197, "", "it may run them; none was assigned to it yet")],
      "Tasks available - queue: [llm: 197], all claimed by others; llm: it may run them; none was assigned to it yet",
    ],
    [
      [entry("llm", 5), entry("ocr", 1, "labels", "it lacks the label gpu=a100 (it has no gpu)")],
      "No suitable tasks - queue: [llm: 5, ocr: 1]; llm: claimed by others; ocr: it lacks the label gpu=a100 (it has no gpu) (labels)",
    ],
  ];
  for (const [entries, line] of cases) assert.equal(queueViewLine(entries), line);
});
