import { beforeEach, describe, expect, test } from "vitest";
import type { Raw } from "./bus.svelte";
import { keptPerSecond, maxDepth, maxHistory, maxPayload, maxTopics, stored, Tree } from "./tree";

const m = (topic: string, payload: string | Uint8Array = "x", o: Partial<Raw> = {}): Raw => ({
  topic, payload: typeof payload === "string" ? new TextEncoder().encode(payload) : payload, props: {}, retained: false, qos: 0, at: 0, ...o,
});

let tree: Tree;
beforeEach(() => (tree = new Tree()));

describe("counts", () => {
  test("go up the tree", () => {
    tree.add(m("a/b/c", "123"));
    tree.add(m("a/b"));
    tree.add(m("a/d"));
    expect([tree.root.total, tree.find("a")!.total, tree.find("a")!.count, tree.find("a/b")!.total, tree.find("a/b/c")!.bytes, tree.topics]).toEqual([3, 3, 0, 2, 3, 4]);
    expect(tree.find("a/x")).toBeNull();
  });
  test("empty levels are levels", () => {
    tree.add(m("/a//b"));
    expect(tree.find("/a//b")!.count).toBe(1);
  });
  test("rates rise at once and fall slowly", () => {
    tree.tick(1000);
    for (let i = 0; i < 50; i++) tree.add(m("a/b", "x", { at: i }));
    tree.tick(2000);
    expect(tree.find("a")!.rate).toBe(50);
    tree.tick(3000);
    expect(tree.find("a/b")!.rate).toBeCloseTo(35);
    for (let i = 0; i < 40; i++) tree.tick(4000 + i * 1000);
    expect(tree.root.rate).toBe(0);
  });
});

describe("limits", () => {
  test("topics beyond the limit are counted and not kept", () => {
    for (let i = 0; i < maxTopics + 10; i++) tree.add(m(`t${i}`));
    expect([tree.topics, tree.refused, tree.root.total]).toEqual([maxTopics, 10, maxTopics + 10]);
  });
  test("topics that are too deep are counted, and not taken for others", () => {
    const deep = Array.from({ length: maxDepth }, () => "a").join("/");
    tree.add(m(`${deep}/b`));
    expect([tree.topics, tree.refused, tree.root.total]).toEqual([0, 1, 1]);
    tree.add(m(deep));
    expect(tree.find(deep)!.count).toBe(1);
  });
  test("a history has an end", () => {
    for (let i = 0; i < 200; i++) tree.add(m("a", String(i), { at: i * 1000 }));
    const h = tree.find("a")!.history;
    expect([h.length, new TextDecoder().decode(h.at(-1)!.payload)]).toEqual([maxHistory, "199"]);
    expect(tree.held).toBe(h.reduce((sum, k) => sum + k.payload.length, 0));
  });
  test("what comes too fast is counted as not kept, and the latest is kept all the same", () => {
    for (let i = 0; i < 1000; i++) tree.add(m("a", String(i), { at: i / 10 }));
    const n = tree.find("a")!;
    expect([n.count, n.history.length, n.skipped, tree.skipped]).toEqual([1000, keptPerSecond, 1000 - keptPerSecond, 1000 - keptPerSecond]);
    expect(new TextDecoder().decode(n.history.at(-1)!.payload)).toBe("999");
  });
  test("large payloads are cut and say so; all together stay below the limit", () => {
    for (let i = 0; i < 300; i++) tree.add(m(`t${i}`, new Uint8Array(maxPayload + 5), { at: i }));
    const k = tree.find("t299")!.history[0]!;
    expect([k.payload.length, k.size]).toEqual([maxPayload, maxPayload + 5]);
    expect(tree.held).toBeLessThanOrEqual(48 << 20);
  });
});

describe("rows", () => {
  beforeEach(() => {
    for (const topic of ["b/x", "a/y/z", "a/w"]) tree.add(m(topic, `value of ${topic}`));
  });
  const names = (open: string[], filter = ""): string[] => tree.rows(new Set(open), filter).map((n) => n.topic);
  test("show what is open, sorted", () => {
    expect(names([])).toEqual(["a", "b"]);
    expect(names(["a"])).toEqual(["a", "a/w", "a/y", "b"]);
  });
  test("a filter finds in topics and payloads, and shows the way there", () => {
    expect(names([], "Z")).toEqual(["a", "a/y", "a/y/z"]);
    expect(names([], "value of b")).toEqual(["b", "b/x"]);
    expect(names([], "nothing")).toEqual([]);
  });
});

test("what is retained is known from the flag, and forgotten when it is cleared", () => {
  tree.add(m("a/b", "x", { retained: true }));
  tree.add(m("a/b", "y"));
  tree.add(m("c", "x", { retained: true }));
  expect(tree.retained(() => true)).toEqual(["a/b", "c"]);
  expect(tree.retained((topic) => topic.startsWith("a"))).toEqual(["a/b"]);
  tree.add(m("a/b", "", { retained: true }));
  expect(tree.retained(() => true)).toEqual(["c"]);
});

test("the judge's word on the latest message is kept", () => {
  tree.judge = (_, p) => (p.length > 1 ? "too long" : "");
  tree.add(m("a", "xx"));
  expect(tree.find("a")!.wrong).toBe("too long");
  tree.add(m("a", "x"));
  expect(tree.find("a")!.wrong).toBe("");
});

test("what was cut is not judged", () => {
  tree.judge = () => "no JSON object";
  tree.add(m("a", "x".repeat(maxPayload + 1)));
  expect(tree.find("a")!.wrong).toBe("");
});

test("who stored a message is what its envelope says", () => {
  const k = (payload: string) => stored({ payload: new TextEncoder().encode(payload), size: 0, retained: true, props: {}, at: 0 });
  expect(k('{"type":"x","ts":5,"source":"tts","data":{}}')).toEqual({ source: "tts", ts: 5 });
  expect([k("{}"), k("junk")]).toEqual([null, null]);
});
