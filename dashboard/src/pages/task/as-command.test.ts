import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { asCommand, asCurl } from "./as-command.ts";

describe("a task as a command", () => {
  const task = {
    taskType: "ocr/page",
    queue: "nightly",
    priority: 5,
    tags: ["tenant:acme"],
    contentType: "application/json",
    uniqueKey: "",
    payloadText: `{"file": "it's.png"}`,
  };

  it("submits the same again", () => {
    assert.equal(
      asCommand(task),
      String.raw`npx muster submit ocr/page '{"file": "it'\''s.png"}' --queue nightly --priority 5 --tag tenant:acme`,
    );
    assert.equal(
      asCurl(task, "https://host/muster/"),
      String.raw`curl -s 'https://host/muster/v1/tasks/ocr%2Fpage?queue=nightly&priority=5&tag=tenant%3Aacme' --json '{"file": "it'\''s.png"}'`,
    );
  });

  it("names what is to be filled in", () => {
    const binary = {
      ...task,
      queue: "default",
      priority: 0,
      tags: [],
      contentType: "image/png",
      payloadText: undefined,
    };
    assert.equal(asCommand(binary), "npx muster submit ocr/page PAYLOAD");
    assert.equal(
      asCurl(binary, "http://h/"),
      "curl -s http://h/v1/tasks/ocr%2Fpage -H 'content-type: image/png' --data-binary @FILE",
    );
  });
});
