// Judges messages by the JSON Schemas of the contract: the part of the language that those use.
import { parse, record, unwrap } from "./message";

/** Schema is what contract schemas are made of. */
export interface Schema {
  $schema?: string;
  title?: string;
  description?: string;
  default?: unknown;
  contentEncoding?: string;
  type?: string | string[];
  properties?: Record<string, Schema>;
  required?: string[];
  additionalProperties?: boolean | Schema;
  patternProperties?: Record<string, Schema>;
  items?: Schema;
  enum?: unknown[];
  minimum?: number;
  maximum?: number;
  maxItems?: number;
  minItems?: number;
  pattern?: string;
  anyOf?: Schema[];
  not?: Schema;
}

/** wrong says what is wrong with a value, and where; empty: nothing. */
export function wrong(s: Schema, v: unknown, at = ""): string {
  const here = at || "the message";
  if (s.anyOf) {
    const faults = s.anyOf.map((o) => wrong(o, v, at));
    if (!faults.includes("")) return faults[0]!;
  }
  if (s.not && wrong(s.not, v, at) === "") return `${here}: not allowed`;
  if (s.type !== undefined && ![s.type].flat().some((t) => is(t, v))) return `${here}: ${[s.type].flat().join(" or ")} wanted`;
  if (s.enum && !s.enum.includes(v)) return `${here}: one of ${s.enum.filter((e) => e !== null).slice(0, 8).join(", ")} wanted`;
  if (typeof v === "number") {
    if (s.minimum !== undefined && v < s.minimum) return `${here}: ${v} is below ${s.minimum}`;
    if (s.maximum !== undefined && v > s.maximum) return `${here}: ${v} is above ${s.maximum}`;
  }
  if (typeof v === "string" && s.pattern && !new RegExp(s.pattern).test(v)) return `${here}: does not look like ${s.pattern}`;
  if (Array.isArray(v)) return list(s, v, at);
  return record(v) ? object(s, v, at) : "";
}

function is(type: string, v: unknown): boolean {
  switch (type) {
    case "null":
      return v === null;
    case "array":
      return Array.isArray(v);
    case "object":
      return record(v);
    case "integer":
      return typeof v === "number" && Number.isInteger(v);
    default:
      return typeof v === type;
  }
}

function list(s: Schema, v: unknown[], at: string): string {
  if (s.maxItems !== undefined && v.length > s.maxItems) return `${at || "the message"}: more than ${s.maxItems} items`;
  if (s.minItems !== undefined && v.length < s.minItems) return `${at || "the message"}: less than ${s.minItems} items`;
  if (s.items) {
    for (let i = 0; i < v.length; i++) {
      const fault = wrong(s.items, v[i], `${at}[${i}]`);
      if (fault) return fault;
    }
  }
  return "";
}

function object(s: Schema, v: Record<string, unknown>, at: string): string {
  const path = (k: string): string => (at ? `${at}.${k}` : k);
  const missing = s.required?.find((k) => !(k in v));
  if (missing !== undefined) return `${path(missing)}: missing`;
  for (const [k, e] of Object.entries(v)) {
    const own = s.properties && Object.hasOwn(s.properties, k) ? s.properties[k] : undefined;
    const found = own ?? Object.entries(s.patternProperties ?? {}).find(([p]) => new RegExp(p).test(k))?.[1];
    const sub = found ?? s.additionalProperties;
    if (sub === false) return `${path(k)}: unknown key`;
    if (typeof sub === "object") {
      const fault = wrong(sub, e, path(k));
      if (fault) return fault;
    }
  }
  return "";
}

/** judge says what is wrong with a payload of a topic; topics without a schema are never wrong. */
export function judge(schema: Schema | null, payload: Uint8Array): string {
  if (!schema || payload.length === 0) return ""; // an empty one clears what is retained
  const v = parse(payload);
  if (!record(v)) return "no JSON object";
  return wrong(schema, unwrap(v).data);
}
