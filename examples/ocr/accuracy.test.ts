import assert from "node:assert/strict";
import { test } from "node:test";
import { wordAccuracy } from "./accuracy.ts";

test("the same text is wholly right, whatever its case, line breaks and surrounding punctuation", () => {
  assert.equal(wordAccuracy("Call me Ishmael. Some years ago", "call me\nishmael, (some) years “ago”"), 1);
});

test("a missing, a misread and an added word", () => {
  assert.equal(wordAccuracy("one two three four", "one two four"), 0.75);
  assert.equal(wordAccuracy("one two three four", "one tvvo three four"), 0.75);
  assert.equal(wordAccuracy("one two three four", "one two and three four"), 1);
});

test("words count only in the order in which they were written", () => {
  assert.equal(wordAccuracy("one two three four", "three four one two"), 0.5);
  assert.equal(wordAccuracy("one two three four", "four three two one"), 0.25);
});

test("a word recognised once does not stand for two", () => {
  assert.equal(wordAccuracy("row row row boat", "row boat"), 0.5);
});

test("dashes separate words, apostrophes are alike, points inside numbers count", () => {
  assert.equal(
    wordAccuracy("years ago—never mind the water-gazers", "years ago - never mind the water gazers"),
    1,
  );
  assert.equal(wordAccuracy("people’s hats", "people's hats"), 1);
  assert.equal(wordAccuracy("Boards 8.03", "Boards 803"), 0.5);
});

test("nothing expected is right, nothing recognised is wrong", () => {
  assert.equal(wordAccuracy(" … ", "anything"), 1);
  assert.equal(wordAccuracy("anything", ""), 0);
});
