import { beforeEach, describe, expect, test } from "vitest";
import type { Incoming } from "./message";
import { Conversation } from "./talk.svelte";

function m<T>(data: T, o: Partial<Incoming> = {}): Incoming<T> {
  return { topic: "t", id: null, ts: null, source: null, retained: false, qos: 0, props: {}, turn: "t1", origin: "page-1", at: 1, ...o, data };
}

let c: Conversation;
beforeEach(() => (c = new Conversation()));
const texts = (): string[] => c.entries.map((e) => `${e.who}: ${e.text}`);

describe("questions", () => {
  test("one that was typed here is shown at once, and once", () => {
    c.typed("t1", "hello", "page-1", 0);
    expect(c.entries[0]!.state).toBe("sending");
    c.text(m({ text: "hello" }));
    expect(texts()).toEqual(["user: hello"]);
    expect(c.entries[0]!.state).toBe("done");
  });
  test("one that was not sent says so", () => {
    c.typed("t1", "hello", "page-1", 0);
    c.sent("t1", false);
    expect(c.entries[0]!.state).toBe("failed");
  });
  test("one that was heard on the bus was sent, even if the acknowledgement was lost", () => {
    c.typed("t1", "hello", "page-1", 0);
    c.text(m({ text: "hello" }));
    c.sent("t1", false);
    expect(c.entries[0]!.state).toBe("done");
  });
  test("others' texts and transcripts come with where they come from; blank ones do not", () => {
    c.text(m({ text: "hi" }, { turn: "t2", origin: "page-2" }));
    c.heard(m({ text: "what ti" }));
    expect(c.partial?.text).toBe("what ti");
    c.final(m({ text: " what time is it " }, { id: "f1", turn: "t3", origin: "room" }));
    c.final(m({ text: "  " }, { id: "f2" }));
    c.text(m({ text: " " }, { turn: "t5" }));
    expect(c.partial).toBeNull();
    expect(c.entries.map((e) => [e.origin, e.text])).toEqual([["page-2", "hi"], ["room", "what time is it"]]);
  });
});

describe("answers", () => {
  test("a stream is put together; repeats are left out, a gap is marked until the whole comes", () => {
    c.stream(m({ id: "u1", seq: 0, delta: "It is " }));
    c.stream(m({ id: "u1", seq: 1, delta: "a " }));
    c.stream(m({ id: "u1", seq: 1, delta: "a " }));
    expect(texts()).toEqual(["robot: It is a "]);
    expect(c.entries[0]!.gap).toBe(false);
    c.stream(m({ id: "u1", seq: 3, delta: "day." }));
    expect(c.entries[0]).toMatchObject({ gap: true, state: "open" });
    c.response(m({ id: "u1", reply: "It is a fine day.", provider: "openai", model: "m" }));
    expect(c.entries[0]).toMatchObject({ text: "It is a fine day.", gap: false, state: "done", by: "openai · m" });
    c.stream(m({ id: "u1", seq: 4, delta: "late", done: true }));
    expect(texts()).toEqual(["robot: It is a fine day."]);
  });
  test("the legacy worker's stream begins at 1", () => {
    c.stream(m({ id: "u1", seq: 1, delta: "a" }));
    expect(c.entries[0]!.gap).toBe(false);
  });
  test("what is spoken of a streamed answer is not shown again; what the rules say is", () => {
    c.stream(m({ id: "u1", seq: 0, delta: "One. Two." }));
    c.say(m({ utt_id: "u1", text: "One." }));
    c.say(m({ utt_id: "u2", text: "It is" }, { turn: "t2" }));
    c.say(m({ utt_id: "u2", text: "noon" }, { turn: "t2" }));
    c.say(m({ utt_id: "u2", text: "." }, { turn: "t2" }));
    expect(texts()).toEqual(["robot: One. Two.", "robot: It is noon."]);
  });
  test("the answer to the wake word and announcements are notes", () => {
    c.say(m({ utt_id: "w1", text: "Hmm?", wake_ack: true }));
    c.say(m({ utt_id: "a1", text: "System online.", system_announce: true }));
    expect(c.entries.map((e) => [e.who, e.note])).toEqual([["note", "ack"], ["note", "announce"]]);
  });
  test("an error is kept beside what there is of the answer", () => {
    c.stream(m({ id: "u1", seq: 0, delta: "I" }));
    c.response(m({ id: "u1", reply: "I", error: "The model is gone." }));
    c.response(m({ id: "u2", reply: null, error: "No model." }, { turn: "t2" }));
    expect(c.entries.map((e) => [e.text, e.error, e.state])).toEqual([["I", "The model is gone.", "cut"], ["", "No model.", "done"]]);
  });
  test("tests of the model are no conversation", () => {
    c.stream(m({ id: "u1", seq: 0, delta: "ready" }, { turn: "test-1" }));
    c.response(m({ id: "u1", reply: "ready" }, { turn: "test-1" }));
    expect(c.entries).toEqual([]);
  });
  test("speech is followed: speaking, paused, cut off", () => {
    c.say(m({ utt_id: "u1", text: "Hello." }));
    c.speech(m({ event: "speaking_start", utt_id: "u1" }));
    expect(c.entries[0]!.speaking).toBe(true);
    c.speech(m({ event: "paused", utt_id: "u1" }));
    expect(c.entries[0]!.speaking).toBe(false);
    c.speech(m({ event: "resumed", utt_id: "u1" }));
    c.speech(m({ event: "stopped", utt_id: "u1" }));
    expect(c.entries[0]).toMatchObject({ speaking: false, state: "cut" });
    c.speech(m({ event: "speaking_start", utt_id: "unknown" }));
    expect(c.entries).toHaveLength(1);
  });
  test("nothing goes on for ever when its end was missed", () => {
    c.stream(m({ id: "u1", seq: 0, delta: "It is " }));
    c.speech(m({ event: "speaking_start", utt_id: "u1" }));
    c.heard(m({ text: "…" }));
    c.missed();
    expect(c.entries[0]).toMatchObject({ state: "cut", speaking: false });
    expect(c.partial).toBeNull();
    c.stream(m({ id: "u1", seq: 3, delta: "noon.", done: true }));
    expect(c.entries[0]).toMatchObject({ state: "done", gap: true, text: "It is noon." });
  });
  test("tools are named, whether called before the first words or behind them", () => {
    c.tool(m({ call_id: "1", name: "mcp__tars-movement__wave" }));
    c.stream(m({ id: "u1", seq: 0, delta: "Hi." }));
    c.tool(m({ call_id: "2", name: "bow" }));
    expect(c.entries[0]!.tools).toEqual(["wave", "bow"]);
  });
});

test("only the newest 400 are kept, and no text grows for ever", () => {
  for (let i = 0; i < 1000; i++) c.final(m({ text: `n${i}` }, { id: `i${i}`, turn: `t${i}` }));
  expect(c.entries).toHaveLength(400);
  expect(c.entries.at(-1)!.text).toBe("n999");
  for (let i = 0; i < 10; i++) c.stream(m({ id: "u", seq: i, delta: "x".repeat(10_000) }));
  expect(c.entries.at(-1)!.text.length).toBe(32_768);
});

test.each([null, 7, [], {}])("odd values (%j) are no text", (v) => {
  const odd = v as never;
  c.text(m({ text: odd }));
  c.final(m({ text: odd }));
  c.heard(m({ text: odd }));
  c.stream(m({ id: odd, delta: odd, seq: odd }));
  c.response(m({ id: odd, reply: odd, error: odd }));
  c.say(m({ text: odd, utt_id: odd }));
  c.speech(m({ event: odd, utt_id: odd }));
  c.tool(m({ call_id: odd, name: odd }));
  expect(c.entries.every((e) => e.text === "")).toBe(true);
});
