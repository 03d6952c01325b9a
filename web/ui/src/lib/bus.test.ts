import { EventEmitter } from "node:events";
import type { IClientOptions, MqttClient } from "mqtt";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { Bus, refusal, wait } from "./bus.svelte";
import { topics } from "./contract.gen";

/** Line stands for a client of the library: the test is the broker. */
class Line extends EventEmitter {
  subscribed: [string, { qos: number; properties: { subscriptionIdentifier: number } }][] = [];
  unsubscribed: string[] = [];
  published: [string, string, unknown][] = [];
  ended = false;
  answer: ((err?: Error) => void) | null = null;
  constructor(readonly options: IClientOptions) {
    super();
  }
  subscribe(filter: string, o: never): void {
    this.subscribed.push([filter, o]);
  }
  unsubscribe(filter: string): void {
    this.unsubscribed.push(filter);
  }
  publish(topic: string, payload: string, o: unknown, done: (err?: Error) => void): void {
    this.published.push([topic, payload, o]);
    this.answer = done;
  }
  end(): void {
    this.ended = true;
  }
}

let lines: Line[];
let bus: Bus;
const last = (): Line => lines.at(-1)!;
const message = (id: number | number[], data: object, retain = false): [string, Uint8Array, unknown] => [
  "dialogue/state", new TextEncoder().encode(JSON.stringify(data)), { retain, qos: 1, properties: { subscriptionIdentifier: id } },
];

beforeEach(() => {
  vi.useFakeTimers();
  vi.spyOn(Math, "random").mockReturnValue(1);
  lines = [];
  bus = new Bus((o) => {
    lines.push(new Line(o));
    return last() as unknown as MqttClient;
  }, "page-1");
});
afterEach(() => {
  bus.stop();
  vi.useRealTimers();
  vi.restoreAllMocks();
});

describe("connection", () => {
  test("comes back with doubling waits, and says so meanwhile", () => {
    bus.start();
    expect(bus.link).toBe("connecting");
    last().emit("connect");
    expect(bus.link).toBe("online");
    for (const ms of [500, 1000, 2000, 4000, 8000, 10_000, 10_000]) {
      last().emit("error", new Error("socket hang up"));
      last().emit("close");
      expect([bus.link, bus.reason]).toEqual(["offline", "socket hang up"]);
      const n = lines.length;
      vi.advanceTimersByTime(ms - 1);
      expect(lines.length).toBe(n);
      vi.advanceTimersByTime(1);
      expect(lines.length).toBe(n + 1);
      expect(bus.link).toBe("offline");
    }
    last().emit("connect");
    expect([bus.link, bus.reason]).toEqual(["online", ""]);
  });
  test("tries at once when it is told to", () => {
    bus.start();
    last().emit("close");
    bus.again();
    expect(lines.length).toBe(2);
    last().emit("connect");
    bus.again();
    expect(lines.length).toBe(2);
  });
  test("a refusal asks for a sign-in and does not try again", () => {
    bus.start();
    last().emit("error", Object.assign(new Error("Not authorized"), { code: 0x87 }));
    last().emit("close");
    expect(bus.link).toBe("signin");
    vi.advanceTimersByTime(60_000);
    bus.again();
    expect([lines.length, bus.link]).toEqual([1, "signin"]);
  });
  test("a copy of this tab that takes our id makes us take another", () => {
    bus.start();
    last().emit("connect");
    last().emit("disconnect", { reasonCode: 0x8e });
    last().emit("close");
    vi.advanceTimersByTime(500);
    expect(bus.id).toMatch(/^page-[0-9a-f]{8}$/);
    expect(last().options.clientId).toBe(bus.id);
  });
  test("what an old connection says later changes nothing", () => {
    bus.start();
    const old = last();
    old.emit("close");
    vi.advanceTimersByTime(500);
    last().emit("connect");
    old.emit("close");
    old.emit("error", new Error("late"));
    expect(bus.link).toBe("online");
  });
  test("it ends when it is stopped", () => {
    bus.start();
    bus.stop();
    expect(last().ended).toBe(true);
    vi.advanceTimersByTime(60_000);
    expect(lines.length).toBe(1);
  });
});

describe("subscriptions", () => {
  test("are one for each filter, asked for again on each connection, and ended with the last that listens", () => {
    const a = vi.fn();
    const b = vi.fn();
    const endA = bus.on(topics.dialogueState, a);
    bus.start();
    last().emit("connect");
    const endB = bus.on(topics.dialogueState, b);
    expect(last().subscribed.map(([f, o]) => [f, o.properties.subscriptionIdentifier])).toEqual([["dialogue/state", 1], ["dialogue/state", 1]]);
    last().emit("message", ...message(1, { state: "idle" }));
    last().emit("message", ...message([7, 1], { state: "idle" }));
    last().emit("message", ...message(7, { state: "idle" }));
    expect([a.mock.calls.length, b.mock.calls.length]).toEqual([2, 2]);
    last().emit("close");
    vi.advanceTimersByTime(500);
    last().emit("connect");
    expect(last().subscribed.map(([f]) => f)).toEqual(["dialogue/state"]);
    endA();
    expect(last().unsubscribed).toEqual([]);
    endB();
    endB();
    expect(last().unsubscribed).toEqual(["dialogue/state"]);
  });
  test("one that fails neither takes the message from others nor ends the connection", () => {
    const warn = vi.spyOn(console, "warn").mockReturnValue();
    const heard = vi.fn();
    bus.on(topics.dialogueState, (m) => void String(m.data.state));
    bus.on(topics.dialogueState, heard);
    bus.start();
    last().emit("connect");
    last().emit("message", ...message(1, { state: { toString: 1, valueOf: 1 } }));
    expect([heard.mock.calls.length, warn.mock.calls.length]).toEqual([1, 1]);
  });
  test("what is no object does not reach them, and the clock is set by what is live", () => {
    const heard = vi.fn();
    bus.on(topics.dialogueState, heard);
    bus.start();
    last().emit("connect");
    last().emit("message", "dialogue/state", new TextEncoder().encode("junk"), message(1, {})[2]);
    expect(heard).not.toHaveBeenCalled();
    const now = Date.now() / 1000;
    last().emit("message", ...message(1, { type: "d", ts: now - 500, data: {} }, true));
    expect(bus.skew).toBeNull();
    last().emit("message", ...message(1, { type: "d", ts: now + 100, data: {} }));
    last().emit("message", ...message(1, { type: "d", ts: now + 99.5, data: {} }));
    expect(bus.skew).toBeCloseTo(100);
    expect(bus.now()).toBeCloseTo(now + 100);
    last().emit("message", ...message(1, { type: "d", ts: 42, data: {} })); // seconds since its start
    expect(bus.skew).toBeCloseTo(100);
  });
});

describe("sending", () => {
  test("fails at once without a connection", async () => {
    await expect(bus.send(topics.dialogueText, { text: "hi" })).rejects.toThrow("Not sent");
  });
  test("ends with the acknowledgement", async () => {
    bus.start();
    last().emit("connect");
    const sent = bus.send(topics.dialogueText, { text: "hi" }, { id: "i1", props: { turn: "i1" } });
    expect(last().published[0]![0]).toBe("dialogue/text");
    expect(JSON.parse(last().published[0]![1])).toMatchObject({ id: "i1", type: "dialogue.text", source: "page-1", data: { text: "hi" } });
    expect(last().published[0]![2]).toEqual({ qos: 1, retain: false, properties: { userProperties: { turn: "i1" } } });
    last().answer!();
    await expect(sent).resolves.toBe("i1");
  });
  test("says when it is not allowed, fails, or takes too long", async () => {
    bus.start();
    last().emit("connect");
    const refused = bus.send(topics.dialogueText, { text: "hi" });
    last().answer!(Object.assign(new Error("x"), { code: 0x87 }));
    await expect(refused).rejects.toThrow("may not");
    const failed = bus.send(topics.dialogueText, { text: "hi" });
    last().answer!(new Error("connection closed"));
    await expect(failed).rejects.toThrow("connection closed");
    const late = bus.send(topics.dialogueText, { text: "hi" });
    const told = expect(late).rejects.toThrow("in time");
    await vi.advanceTimersByTimeAsync(10_000);
    await told;
  });
});

test("waits double, are spread, and have an end", () => {
  expect([0, 1, 2, 10].map((n) => wait(n, 1))).toEqual([500, 1000, 2000, 10_000]);
  expect(wait(1, 0)).toBe(500);
});

test("refusals are told from other errors", () => {
  expect([refusal({ code: 0x86 }), refusal({ code: 0x87 }), refusal({ code: 0x88 }), refusal(new Error("x")), refusal(null)]).toEqual([true, true, false, false, false]);
});
