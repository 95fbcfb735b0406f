import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { type JsonNode, parseJson } from "./json-tree.ts";

function back(node: JsonNode): string {
  switch (node.kind) {
    case "object":
      return `{${node.entries.map(([name, value]) => `${JSON.stringify(name)}:${back(value)}`).join(",")}}`;
    case "array":
      return `[${node.items.map(back).join(",")}]`;
    case "string":
      return JSON.stringify(node.value);
    default:
      return node.text;
  }
}

describe("a tree of JSON", () => {
  it("has what the text has, with numbers as they are written", () => {
    for (const text of [
      '{"id":12345678901234567890,"pi":3.14159265358979323846,"n":-1.5e-300,"e":1E400}',
      '[1,[],{},[{"a":[null,true,false]}],"",0]',
      '{"a":{"b":{"c":[{"d":1},2]}},"a":"twice"}',
      String.raw`"Grüße \u0041 \" \\ \n </script>"`,
      "null",
    ])
      assert.equal(
        back(parseJson(text)).replaceAll("\\n", "\n"),
        back(parseJson(` ${text} `)).replaceAll("\\n", "\n"),
      );
    assert.equal(back(parseJson("[12345678901234567890, 1e400]")), "[12345678901234567890,1e400]");
    assert.equal(back(parseJson('{"a": {"b": [ {"d": 1}, 2 ]} }')), '{"a":{"b":[{"d":1},2]}}');
  });

  it("agrees with the parser of JavaScript on what is JSON", () => {
    const texts = [
      "",
      "{",
      "[1,]",
      "[1 2]",
      '{"a"}',
      '{"a":}',
      "{a:1}",
      "01",
      "1.",
      "+1",
      "nul",
      "[1]]",
      '"a',
      "[,1]",
      "[[]",
      "{}{}",
      "-",
      '{"a":1,}',
    ];
    for (const text of texts) {
      assert.throws(() => JSON.parse(text), SyntaxError, text);
      assert.throws(() => parseJson(text), SyntaxError, text);
    }
  });

  it("may be deeper than the stack of calls", () => {
    let node = parseJson(`${"[".repeat(20_000)}${"]".repeat(20_000)}`);
    let depth = 0;
    while (node.kind === "array" && node.items[0]) {
      node = node.items[0];
      depth++;
    }
    assert.equal(depth, 19_999);
  });
});
