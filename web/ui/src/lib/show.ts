// Payloads for people: what they are, and how they differ.
import { parse, record } from "./message";

/** Kind of a payload. */
export type Kind = "empty" | "json" | "text" | "jpeg" | "png" | "sound" | "binary";

const strict = new TextDecoder("utf-8", { fatal: true });

/** kindOf looks at the bytes, and at the topic for sound, which cannot be told from noise. */
export function kindOf(topic: string, payload: Uint8Array): Kind {
  if (payload.length === 0) return "empty";
  if (payload[0] === 0xff && payload[1] === 0xd8 && payload[2] === 0xff) return "jpeg";
  if (payload[0] === 0x89 && payload[1] === 0x50 && payload[2] === 0x4e && payload[3] === 0x47) return "png";
  if (/^audio\/(in|out)\//.test(topic)) return "sound";
  if (parse(payload) !== undefined) return "json";
  try {
    strict.decode(payload);
    return "text";
  } catch {
    return "binary";
  }
}

/** pretty is a payload as lines of text. */
export function pretty(kind: Kind, payload: Uint8Array): string {
  if (kind === "json") return JSON.stringify(parse(payload), null, 2);
  if (kind === "text") return strict.decode(payload);
  return kind === "empty" ? "" : hex(payload, 4096);
}

/** hex is a dump of at most so many bytes: offset, bytes, letters. */
export function hex(payload: Uint8Array, most: number): string {
  const lines: string[] = [];
  for (let i = 0; i < Math.min(payload.length, most); i += 16) {
    const part = [...payload.subarray(i, Math.min(i + 16, most))];
    const bytes = part.map((b) => b.toString(16).padStart(2, "0")).join(" ").padEnd(47);
    lines.push(`${i.toString(16).padStart(6, "0")}  ${bytes}  ${part.map((b) => (b >= 32 && b < 127 ? String.fromCharCode(b) : ".")).join("")}`);
  }
  if (payload.length > most) lines.push(`… ${payload.length - most} more bytes`);
  return lines.join("\n");
}

/** Line of a difference. */
export interface Line {
  mark: " " | "+" | "-";
  text: string;
}

/** longest text that is compared line by line; comparing takes the square of it. */
const mostLines = 600;

/** diff is how to get from one text to another; null if they are too long to compare. */
export function diff(before: string, after: string): Line[] | null {
  const a = before.split("\n");
  const b = after.split("\n");
  if (a.length > mostLines || b.length > mostLines) return null;
  // Length of the longest common part of a[i:] and b[j:].
  const common = Array.from({ length: a.length + 1 }, () => new Uint16Array(b.length + 1));
  for (let i = a.length - 1; i >= 0; i--) {
    for (let j = b.length - 1; j >= 0; j--) {
      common[i]![j] = a[i] === b[j] ? common[i + 1]![j + 1]! + 1 : Math.max(common[i + 1]![j]!, common[i]![j + 1]!);
    }
  }
  const out: Line[] = [];
  let i = 0;
  let j = 0;
  while (i < a.length || j < b.length) {
    if (i < a.length && j < b.length && a[i] === b[j]) {
      out.push({ mark: " ", text: a[i]! });
      i++;
      j++;
    } else if (i < a.length && (j >= b.length || common[i + 1]![j]! >= common[i]![j + 1]!)) out.push({ mark: "-", text: a[i++]! });
    else out.push({ mark: "+", text: b[j++]! });
  }
  return out;
}

/** numbers are the numeric fields of a payload by their paths, at most 64. */
export function numbers(payload: Uint8Array): Map<string, number> {
  const out = new Map<string, number>();
  const walk = (v: unknown, path: string, depth: number): void => {
    if (out.size >= 64 || depth > 6) return;
    if (typeof v === "number") out.set(path || "value", v);
    else if (typeof v === "boolean") out.set(path || "value", Number(v));
    else if (Array.isArray(v)) v.slice(0, 16).forEach((e, i) => walk(e, `${path}[${i}]`, depth + 1));
    else if (record(v)) for (const [k, e] of Object.entries(v)) walk(e, path ? `${path}.${k}` : k, depth + 1);
  };
  walk(parse(payload), "", 0);
  return out;
}

/** Exported is a message as a line of an export. */
export interface Exported {
  topic: string;
  /** Unix seconds of its arrival here */
  ts: number;
  retained: boolean;
  payload: Uint8Array;
}

/** jsonLines writes each message as an object; what is not UTF-8 is in base64. */
export function jsonLines(all: Exported[]): string {
  return all.map((m) => JSON.stringify({ topic: m.topic, ts: m.ts, retained: m.retained, ...body(m.payload) }) + "\n").join("");
}

/** csv writes them as a table. Cells that a spreadsheet would take for a formula begin with an apostrophe. */
export function csv(all: Exported[]): string {
  const cell = (v: unknown): string => {
    const s = /^[=+\-@\t\r]/.test(String(v)) && typeof v !== "number" ? `'${v}` : String(v);
    return /[",\n\r]/.test(s) ? `"${s.replaceAll('"', '""')}"` : s;
  };
  const rows = all.map((m) => {
    const b = body(m.payload);
    return [m.topic, m.ts, m.retained, "payload" in b ? b.payload : b.base64];
  });
  return [["topic", "ts", "retained", "payload"], ...rows].map((r) => r.map(cell).join(",") + "\r\n").join("");
}

function body(payload: Uint8Array): { payload: string } | { base64: string } {
  try {
    return { payload: strict.decode(payload) };
  } catch {
    let s = "";
    for (const b of payload) s += String.fromCharCode(b);
    return { base64: btoa(s) };
  }
}
