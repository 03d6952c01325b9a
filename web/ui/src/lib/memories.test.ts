import { expect, test } from "vitest";
import { found, fromFile, parts, toFile } from "./memories";

test("found reads our documents, legacy ones, and bare text", () => {
  expect(found({ document: { id: "7", role: "fact", text: "pizza", ts: 1.7e9, tags: ["food", 3] }, score: 0.5 })).toEqual({ id: "7", text: "pizza", role: "fact", ts: 1.7e9, score: 0.5, tags: ["food"], beside: false });
  expect(found({ document: { content: "old" }, timestamp: "2026-01-01T00:00:00Z", context_type: "previous" })).toMatchObject({ id: "", text: "old", ts: 1767225600, score: null, beside: true });
  expect(found({ document: "We talked." })).toMatchObject({ text: "We talked.", ts: null });
  expect(found({ document: { a: 1 } }).text).toBe('{"a":1}');
});

test("a file is read as it was written, and as a list", () => {
  const all = [{ id: "1", text: "a\nb", role: "fact" as const }, { text: "c" }];
  expect(fromFile(toFile(all))).toEqual(all);
  expect(fromFile(JSON.stringify(all))).toEqual(all);
  expect(fromFile(" \n")).toEqual([]);
});

test.each([['{"text":"a"}\njunk', "line 2"], ['{"text":"a"}\n{"text":" "}', "record 2"], ["[1]", "record 1"], ["[", "JSON"]])("%j is refused with its place", (text, want) => {
  expect(() => fromFile(text)).toThrow(want);
});

test("parts", () => {
  expect(parts([1, 2, 3], 2)).toEqual([[1, 2], [3]]);
  expect(parts([], 2)).toEqual([]);
});
