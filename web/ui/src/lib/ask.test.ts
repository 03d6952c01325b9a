import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { ask } from "./ask";
import { topics } from "./contract.gen";
import type { Incoming } from "./message";

let handlers: Set<(m: Incoming<never>) => void>;
let sent: string[];
let fails: Error | null;
const bus = {
  on: (_: unknown, h: (m: Incoming<never>) => void) => {
    handlers.add(h);
    return () => void handlers.delete(h);
  },
  send: (_: unknown, __: unknown, o: { id: string }) => {
    sent.push(o.id);
    return fails ? Promise.reject(fails) : Promise.resolve(o.id);
  },
} as never;
const say = (id: string, data: object, retained = false): void => handlers.forEach((h) => h({ id, data, retained } as never));

beforeEach(() => {
  vi.useFakeTimers();
  handlers = new Set();
  sent = [];
  fails = null;
});
afterEach(() => void vi.useRealTimers());

test("takes the answer with its own id, and listens no longer", async () => {
  const got = ask(bus, topics.memoryQuery, { text: "a" }, topics.memoryResults);
  say("another", { query: "b", k: 0 });
  say(sent[0]!, { query: "old", k: 0 }, true);
  say(sent[0]!, { query: "a", k: 1 });
  await expect(got).resolves.toEqual({ query: "a", k: 1 });
  expect(handlers.size).toBe(0);
});

test("gives up in words when nobody answers, or it was not sent", async () => {
  const late = ask(bus, topics.memoryQuery, { text: "a" }, topics.memoryResults);
  const told = expect(late).rejects.toThrow("memory/query");
  await vi.advanceTimersByTimeAsync(8000);
  await told;
  fails = new Error("offline");
  await expect(ask(bus, topics.memoryQuery, { text: "a" }, topics.memoryResults)).rejects.toThrow("offline");
  expect(handlers.size).toBe(0);
});
