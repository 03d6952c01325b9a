import { describe, expect, test } from "vitest";
import { verdict, Watch, type Overview, type Peer } from "./overview.svelte";

const peer = (name: string, o: Partial<Peer> = {}): Peer => ({ name, state: "ready", up: true, required: false, losses: 0, restarts: 0, drops: 0, ...o });
const answer = (o: Partial<Overview> = {}): Overview => ({
  version: "1", started: "2026-01-01T00:00:00Z", now: "2026-01-01T00:00:10Z", health: "ok", peers: [peer("tts", { required: true })], clients: [], client_count: 0,
  broker: { received: 0, sent: 0, received_bytes: 0, sent_bytes: 0, subscriptions: 0, retained: 0, retained_bytes: 0, queued: 0, inflight: 0, refused: 0, file_bytes: 0 },
  machine: { resident_bytes: 5, memory_free: 0, memory_total: 0, disk_free: 0, disk_total: 0, load1: 0, processors: 2 }, ...o,
});

describe("verdict", () => {
  test("all is well only when it was heard just now", () => {
    expect(verdict(answer(), 1000)).toEqual({ level: "ok", down: [], reason: "", stale: false });
    expect(verdict(answer(), 9000)).toMatchObject({ level: "bad", stale: true });
    expect(verdict(null, 0)).toMatchObject({ level: "bad", stale: true });
  });
  test("names who is not up, the required first, and not who left in order", () => {
    const peers = [peer("esp32", { up: false, state: "disconnected" }), peer("stt", { up: false, state: "stale", required: true }), peer("old", { up: false, state: "shutdown" }), peer("gone", { up: false, state: "unknown" })];
    expect(verdict(answer({ peers }), 0)).toMatchObject({ level: "warn", down: ["stt", "esp32"] });
  });
  test("says what the robot says", () => {
    expect(verdict(answer({ health: "degraded", reason: "storage: no space left" }), 0)).toMatchObject({ level: "warn", reason: "storage: no space left" });
    expect(verdict(answer({ health: "failed" }), 0).level).toBe("bad");
    expect(verdict(answer({ peers: null }), 0).level).toBe("ok");
  });
});

test("rates are made of two answers of one start", () => {
  const w = new Watch();
  const client = { id: "a", address: "", connected: true, since: "", subscriptions: [], filters: 0, received: 10, sent: 0, queued: 0, inflight: 0, queued_bytes: 0 };
  const at = (s: number, n: number, o: Partial<Overview> = {}): Overview => answer({
    now: new Date(Date.UTC(2026, 0, 1, 0, 0, s)).toISOString(), broker: { ...answer().broker, received: n, sent: 2 * n }, clients: [{ ...client, received: n }], ...o,
  });
  w.take(at(0, 100), 0);
  expect(w.samples).toEqual([]);
  w.take(at(2, 120), 0);
  expect(w.samples).toMatchObject([{ received: 10, sent: 20, memory: 5 }]);
  expect(w.rates.get("a")).toEqual([10, 0]);
  w.take(at(4, 0, { started: "2026-01-01T00:00:03Z" }), 0); // it was restarted
  expect(w.samples).toHaveLength(1);
  w.take(at(6, 10, { started: "2026-01-01T00:00:03Z" }), 0);
  expect(w.samples[1]).toMatchObject({ received: 5 });
  for (let i = 0; i < 400; i++) w.take(at(8 + i, 10, { started: "2026-01-01T00:00:03Z" }), 0);
  expect(w.samples).toHaveLength(300);
});
