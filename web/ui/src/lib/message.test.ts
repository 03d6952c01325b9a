import { describe, expect, test } from "vitest";
import { topics } from "./contract.gen";
import { at, flat, matches, newID, read, wrap } from "./message";

const bytes = (s: string): Uint8Array => new TextEncoder().encode(s);

describe("read", () => {
  test("takes the payload out of the envelope, with who and when", () => {
    const m = read("dialogue/text", bytes('{"id":"a1","type":"dialogue.text","ts":12.5,"source":"page-1","data":{"text":"hi"}}'), { turn: "t1", origin: "o1" }, false, 1, 7);
    expect(m).toEqual({ topic: "dialogue/text", data: { text: "hi" }, id: "a1", ts: 12.5, source: "page-1", retained: false, qos: 1, props: { turn: "t1", origin: "o1" }, turn: "t1", origin: "o1", at: 7 });
  });
  test("takes a bare object as it is, also one with a type of its own", () => {
    expect(read("wake/event", bytes('{"type":"wake","message_id":"m","ts":3}'), {}, true, 0, 0)).toMatchObject({ data: { type: "wake" }, id: "m", ts: 3, retained: true, turn: null });
    expect(read("tts/status", bytes('{"event":"paused","timestamp":4}'), {}, false, 0, 0)).toMatchObject({ data: { event: "paused" }, id: null, ts: 4 });
  });
  test.each(["", "{", "[1]", "7", "null", '"text"'])("gives nothing for %j", (text) => {
    expect(read("a", bytes(text), {}, false, 0, 0)).toBeNull();
  });
  test("gives nothing for what is not UTF-8", () => {
    expect(read("a", new Uint8Array([0x7b, 0xff, 0x7d]), {}, false, 0, 0)).toBeNull();
  });
  test("does not take an envelope's odd id and time for good", () => {
    expect(read("a", bytes('{"type":"x","id":7,"ts":"soon","data":{}}'), {}, false, 0, 0)).toMatchObject({ id: null, ts: null, source: null });
  });
});

test("wrap follows the topic's form", () => {
  expect(JSON.parse(wrap(topics.dialogueText, { text: "hi" }, "id", "me", 5))).toEqual({ id: "id", type: "dialogue.text", ts: 5, source: "me", data: { text: "hi" } });
  expect(JSON.parse(wrap(topics.ttsControl, { action: "stop" }, "id", "me", 5))).toEqual({ action: "stop" });
});

test("flat takes the first of several values", () => {
  expect(flat({ a: ["1", "2"], b: "3", c: [] })).toEqual({ a: "1", b: "3", c: "" });
  expect(flat(undefined)).toEqual({});
});

test.each([
  ["a/b", "a/b", true], ["a/+", "a/b", true], ["a/+", "a/b/c", false], ["a/#", "a", true], ["a/#", "a/b/c", true], ["#", "a/b", true],
  ["#", "$SYS/x", false], ["+/x", "$SYS/x", false], ["$SYS/#", "$SYS/x", true], ["a/b", "a", false], ["a", "a/b", false], ["+", "", true],
])("%s matches %s: %s", (filter, topic, want) => {
  expect(matches(filter, topic)).toBe(want);
});

test("at keeps a name from reaching another topic", () => {
  expect(at(topics.audioIn, "a/b+#").name).toBe("audio/in/a_b__");
  expect(at(topics.audioIn, "").name).toBe("audio/in/_");
});

test("newID is 32 hex digits, another one each time", () => {
  const ids = new Set(Array.from({ length: 100 }, newID));
  expect(ids.size).toBe(100);
  for (const id of ids) expect(id).toMatch(/^[0-9a-f]{32}$/);
});
