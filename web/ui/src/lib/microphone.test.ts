import { afterEach, beforeEach, expect, test, vi } from "vitest";
import type { Bus } from "./bus.svelte";
import { Microphone } from "./microphone.svelte";

vi.mock("./capture.worklet.ts?worker&url", () => ({ default: "capture.js" }));

/** Stream stands for a microphone that a person has allowed. */
class Stream {
  live = true;
  getTracks = () => [{ stop: () => (this.live = false) }];
  getAudioTracks = () => [{ addEventListener: () => {} }];
}

class Context {
  closed = false;
  audioWorklet = { addModule: async () => {} };
  constructor() {
    contexts.push(this);
  }
  resume = async (): Promise<void> => {
    if (this.closed) throw new Error("closed");
  };
  close = async (): Promise<void> => void (this.closed = true);
  createMediaStreamSource = () => ({ connect: () => {} });
}

let contexts: Context[];
/** what answers the questions for a microphone, in their order */
let answers: ((s: Stream | Error) => void)[];
let mic: Microphone;

beforeEach(() => {
  contexts = [];
  answers = [];
  vi.stubGlobal("window", { isSecureContext: true });
  vi.stubGlobal("navigator", { mediaDevices: { getUserMedia: () => new Promise((ok, fail) => answers.push((s) => (s instanceof Error ? fail(s) : ok(s)))) } });
  vi.stubGlobal("AudioContext", Context);
  vi.stubGlobal("AudioWorkletNode", class { port = {}; });
  mic = new Microphone({ id: "page-1", write: async () => {}, send: async () => "" } as unknown as Bus);
});
afterEach(() => {
  mic.stop();
  vi.unstubAllGlobals();
});

test("two pushes in short order open one microphone, and no other one stays on", async () => {
  const first = mic.start("push");
  mic.stop();
  const second = mic.start("push");
  const streams = [new Stream(), new Stream()];
  answers.forEach((answer, i) => answer(streams[i]!));
  await Promise.all([first, second]);
  expect(streams.map((s) => s.live)).toEqual([false, true]);
  expect(contexts.filter((c) => !c.closed)).toHaveLength(1);
  mic.stop();
  expect([streams[1]!.live, contexts.every((c) => c.closed), mic.mode]).toEqual([false, true, "off"]);
});

test("one that is allowed after it was stopped is closed at once", async () => {
  const started = mic.start("hands-free");
  mic.stop();
  const stream = new Stream();
  answers[0]!(stream);
  await started;
  expect([stream.live, contexts.length, mic.mode]).toEqual([false, 0, "off"]);
});

test("an old refusal does not end what was begun after it, a new one says so", async () => {
  const first = mic.start("push");
  mic.stop();
  const second = mic.start("push");
  answers[0]!(Object.assign(new Error("no"), { name: "NotAllowedError" }));
  expect(await first).toBe(false);
  expect([mic.mode, mic.error]).toEqual(["push", ""]);
  answers[1]!(Object.assign(new Error("no"), { name: "NotAllowedError" }));
  expect(await second).toBe(false);
  expect(mic.mode).toBe("off");
  expect(mic.error).toContain("did not allow");
});

test("a page from plain http says why there is none", async () => {
  vi.stubGlobal("window", { isSecureContext: false });
  expect([mic.check(), await mic.start("push"), answers.length]).toEqual([false, false, 0]);
  expect(mic.error).toContain("https");
});
