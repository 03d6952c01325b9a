import { describe, expect, test } from "vitest";
import { csv, diff, hex, jsonLines, kindOf, numbers, pretty } from "./show";

const b = (s: string): Uint8Array => new TextEncoder().encode(s);

test.each([
  ["a", b(""), "empty"], ["a", b('{"a":1}'), "json"], ["a", b("on"), "text"], ["a", b("7"), "json"], ["a", new Uint8Array([0xff, 0xfe]), "binary"],
  ["a", new Uint8Array([0xff, 0xd8, 0xff, 0]), "jpeg"], ["a", new Uint8Array([0x89, 0x50, 0x4e, 0x47]), "png"], ["audio/in/x", b("ab"), "sound"],
])("kindOf %s %s is %s", (topic, payload, want) => {
  expect(kindOf(topic, payload)).toBe(want);
});

test("pretty and hex", () => {
  expect(pretty("json", b('{"a":[1]}'))).toBe('{\n  "a": [\n    1\n  ]\n}');
  expect(pretty("text", b("é"))).toBe("é");
  expect(hex(b("0123456789abcdefg\n"), 17)).toBe(
    "000000  30 31 32 33 34 35 36 37 38 39 61 62 63 64 65 66  0123456789abcdef\n000010  67                                               g\n… 1 more bytes");
});

describe("diff", () => {
  test("gives what was taken out and put in", () => {
    expect(diff("a\nb\nc", "a\nx\nc\nd")!.map((l) => l.mark + l.text)).toEqual([" a", "-b", "+x", " c", "+d"]);
    expect(diff("same", "same")!.map((l) => l.mark)).toEqual([" "]);
  });
  test("does not begin what would take too long", () => {
    expect(diff("a\n".repeat(700), "b")).toBeNull();
  });
});

test("numbers are found wherever they are, and not without end", () => {
  expect([...numbers(b('{"a":1,"b":{"c":[2,"x",{"d":3}]},"e":true,"f":null}'))]).toEqual([["a", 1], ["b.c[0]", 2], ["b.c[2].d", 3], ["e", 1]]);
  expect([...numbers(b("5"))]).toEqual([["value", 5]]);
  expect(numbers(b("junk")).size).toBe(0);
  expect(numbers(b(JSON.stringify(Object.fromEntries(Array.from({ length: 200 }, (_, i) => [i, i]))))).size).toBe(64);
});

describe("exports", () => {
  const all = [
    { topic: "a/b", ts: 1.5, retained: true, payload: b('say "hi",\nyou') },
    { topic: "=cmd()", ts: 2, retained: false, payload: new Uint8Array([0xff]) },
    { topic: "c", ts: -3, retained: false, payload: b("@SUM(A1)") },
  ];
  test("as JSON lines", () => {
    expect(jsonLines(all).trim().split("\n").map((l) => JSON.parse(l))).toEqual([
      { topic: "a/b", ts: 1.5, retained: true, payload: 'say "hi",\nyou' }, { topic: "=cmd()", ts: 2, retained: false, base64: "/w==" }, { topic: "c", ts: -3, retained: false, payload: "@SUM(A1)" },
    ]);
  });
  test("as CSV, without formulas", () => {
    expect(csv(all)).toBe('topic,ts,retained,payload\r\na/b,1.5,true,"say ""hi"",\nyou"\r\n\'=cmd(),2,false,/w==\r\nc,-3,false,\'@SUM(A1)\r\n');
  });
});
