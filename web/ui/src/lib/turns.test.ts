import { expect, test } from "vitest";
import { bars, begins, Turns } from "./turns.svelte";

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
