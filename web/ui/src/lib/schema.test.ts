import { describe, expect, test } from "vitest";
import { topicDocs } from "./docs.gen";
import { judge, wrong } from "./schema";

const b = (s: string): Uint8Array => new TextEncoder().encode(s);
const of = (topic: string) => topicDocs.find((d) => d.topic === topic)!.schema;

test("every example of the contract passes", () => {
  for (const d of topicDocs.filter((x) => x.schema)) expect([d.topic, judge(d.schema, b(d.example))]).toEqual([d.topic, ""]);
  expect(topicDocs.filter((d) => d.schema).length).toBeGreaterThan(50);
});

test.each([
  ["dialogue/text", '{"text":7}', "text: string wanted"],
  ["dialogue/text", "{}", "text: missing"],
  ["dialogue/text", '{"text":"a","colour":1}', "colour: unknown key"],
  ["dialogue/text", "junk", "no JSON object"],
  ["dialogue/state", '{"state":"dancing","since":1}', "state: one of idle, listening, thinking, speaking, interrupted wanted"],
  ["camera/view", '{"fps":100}', "fps: 100 is above 60"],
  ["camera/view", '{"hold_ms":1.5}', "hold_ms: integer wanted"],
  ["movement/manual", '{"seq":1,"joints":{"nose":3}}', "joints.nose: unknown key"],
  ["movement/manual", '{"seq":1,"joints":{"height":300}}', "joints.height: 300 is above 100"],
  ["llm/request", '{"id":"1","text":"a","conversation_history":[{"role":"cat","content":""}]}', "conversation_history[0].role: one of user, assistant wanted"],
])("%s %s: %s", (topic, payload, want) => {
  expect(judge(of(topic), b(payload))).toBe(want);
});

test("a message that clears, and a topic of nobody, are not wrong", () => {
  expect([judge(of("dialogue/state"), b("")), judge(null, b("junk"))]).toEqual(["", ""]);
});

describe("wrong", () => {
  test("unions take any of their variants", () => {
    const s = { anyOf: [{ type: "object", required: ["a"] }, { type: "object", required: ["b"] }] };
    expect([wrong(s, { b: 1 }), wrong(s, {})]).toEqual(["", "a: missing"]);
  });
  test("keys of the prototype are unknown keys", () => {
    expect(wrong({ type: "object", properties: {}, additionalProperties: false }, JSON.parse('{"constructor":1,"__proto__":2}'))).toContain("unknown key");
  });
});
