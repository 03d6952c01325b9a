import { expect, test } from "vitest";
import type { Topic } from "./contract.gen";
import type { Incoming } from "./message";
import { bars, begins, Turns, turnTopics } from "./turns.svelte";

test("a turn's parts are the times between its steps, whatever their order of arrival", () => {
  const turns = new Turns();
  turns.mark("a", "wake", 100);
  turns.mark("a", "firstToken", 900);
  turns.mark("a", "transcript", 600, "what time is it");
  turns.mark("a", "firstToken", 950); // the first counts
  turns.mark("a", "firstSound", 1100);
  turns.mark("a", "silence", 2000);
  turns.mark("a", "silence", 2500); // and of silence the last
  const turn = turns.list[0]!;
  expect(turn.text).toBe("what time is it");
  expect(begins(turn)).toBe("wake");
  expect(bars(turn)).toEqual([
    { step: "transcript", at: 500, ms: 500 }, { step: "firstToken", at: 800, ms: 300 }, { step: "firstSound", at: 1000, ms: 200 }, { step: "silence", at: 2400, ms: 1400 },
  ]);
});

test("a turn that began before us is left out, and so is what belongs to none", () => {
  const turns = new Turns();
  turns.mark("a", "firstSound", 1);
  turns.mark("a", "silence", 2);
  turns.mark(null, "asked", 3);
  expect(turns.list).toEqual([]);
});

test("the newest 30 are kept, newest first", () => {
  const turns = new Turns();
  for (let i = 0; i < 40; i++) turns.mark(`t${i}`, "asked", i);
  expect(turns.list).toHaveLength(30);
  expect(turns.list[0]!.id).toBe("t39");
});

test("a turn with one step has no parts yet", () => {
  const turns = new Turns();
  turns.mark("a", "asked", 5);
  expect(bars(turns.list[0]!)).toEqual([]);
});

test("the end of speech is as long before the transcript as the recogniser says", () => {
  const handlers = new Map<string, (m: Incoming<never>) => void>();
  const turns = new Turns();
  turnTopics({ on: <T>(topic: Topic<T>, handle: (m: Incoming<T>) => void) => (handlers.set(topic.name, handle as never), () => {}) }, turns);
  const final = (turn: string, ts: number | null, end: string): void =>
    handlers.get("stt/final")!({ topic: "", id: turn, ts, source: null, retained: false, qos: 1, props: { speech_end: end }, turn, origin: null, at: 5000, data: { text: "hi" } as never });
  handlers.get("wake/event")!({ topic: "", id: "a", ts: null, source: null, retained: false, qos: 1, props: {}, turn: "a", origin: null, at: 1000, data: { type: "wake" } as never });
  final("a", 100.8, "100.2");
  expect(turns.list[0]!.marks).toEqual({ wake: 1000, speechEnd: expect.closeTo(4400), transcript: 5000 });
  final("b", 100.8, "junk");
  final("c", 100.8, "101");
  final("d", null, "100");
  expect(turns.list.slice(0, 3).map((x) => x.marks)).toEqual([{ transcript: 5000 }, { transcript: 5000 }, { transcript: 5000 }]);
});
