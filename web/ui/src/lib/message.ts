// Messages as they go over the wire: the envelope or the bare object, user properties, topic filters.
import type { Topic } from "./contract.gen";
import { props as names } from "./contract.gen";

/** A message that arrived. */
export interface Incoming<T = unknown> {
  topic: string;
  data: T;
  /** of the envelope; null when it came without */
  id: string | null;
  /** Unix seconds by the sender's clock; null when it did not say */
  ts: number | null;
  source: string | null;
  retained: boolean;
  qos: 0 | 1 | 2;
  /** user properties; of several with one name the first */
  props: Record<string, string>;
  turn: string | null;
  origin: string | null;
  /** milliseconds of performance.now() when it arrived */
  at: number;
}

const utf8 = new TextDecoder("utf-8", { fatal: true });

/** record reports whether v is a JSON object. */
export function record(v: unknown): v is Record<string, unknown> {
  return typeof v === "object" && v !== null && !Array.isArray(v);
}

/** parse reads JSON in UTF-8; undefined if it is none. */
export function parse(payload: Uint8Array): unknown {
  try {
    return JSON.parse(utf8.decode(payload));
  } catch {
    return undefined;
  }
}

/** unwrap takes the payload out of the envelope, if there is one. */
export function unwrap(v: Record<string, unknown>): Pick<Incoming, "data" | "id" | "ts" | "source"> {
  if (typeof v.type === "string" && record(v.data)) {
    return { data: v.data, id: text(v.id), ts: number(v.ts), source: text(v.source) };
  }
  return { data: v, id: text(v.message_id), ts: number(v.timestamp) ?? number(v.ts), source: null };
}

function text(v: unknown): string | null {
  return typeof v === "string" && v !== "" ? v : null;
}

function number(v: unknown): number | null {
  return typeof v === "number" && Number.isFinite(v) ? v : null;
}

/** wrap writes data in the form of the topic. */
export function wrap<T>(topic: Topic<T>, data: T, id: string, source: string, now: number): string {
  if (topic.form === "bare") return JSON.stringify(data);
  return JSON.stringify({ id, type: topic.type, ts: now, source, data });
}

/** flat makes one value of each user property. */
export function flat(user: Record<string, string | string[]> | undefined): Record<string, string> {
  const out: Record<string, string> = {};
  for (const [k, v] of Object.entries(user ?? {})) out[k] = Array.isArray(v) ? (v[0] ?? "") : v;
  return out;
}

/** read makes an Incoming; null if the payload is no JSON object. */
export function read(topic: string, payload: Uint8Array, user: Record<string, string>, retained: boolean, qos: 0 | 1 | 2, at: number): Incoming | null {
  const v = parse(payload);
  if (!record(v)) return null;
  return { topic, ...unwrap(v), retained, qos, props: user, turn: user[names.turn] || null, origin: user[names.origin] || null, at };
}

/** at is the topic of a family, such as system/health/+, for one name. */
export function at<T>(topic: Topic<T>, name: string): Topic<T> {
  return { ...topic, name: topic.name.replace("+", name.replace(/[/+#]/g, "_") || "_") };
}

/** matches reports whether a topic filter of MQTT matches a topic. */
export function matches(filter: string, topic: string): boolean {
  const f = filter.split("/");
  const t = topic.split("/");
  if (topic.startsWith("$") && (f[0] === "+" || f[0] === "#")) return false;
  for (let i = 0; i < f.length; i++) {
    if (f[i] === "#") return true;
    if (i >= t.length || (f[i] !== "+" && f[i] !== t[i])) return false;
  }
  return f.length === t.length;
}

/** newID is 32 hex digits. crypto.randomUUID would need https. */
export function newID(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (b) => b.toString(16).padStart(2, "0")).join("");
}
