// Files of memories: one JSON object a line, as they are exported; a JSON list is read too.
import type { MemoryRecord, QueryResult } from "./contract.gen";
import { record } from "./message";

/** Found is a memory as the panel shows it. */
export interface Found {
  id: string;
  text: string;
  role: string;
  /** Unix seconds; null: nobody knows */
  ts: number | null;
  score: number | null;
  tags: string[];
  /** it was said around one that was found */
  beside: boolean;
}

/** found reads a result, whoever made it. */
export function found(r: QueryResult): Found {
  const d = r.document;
  const o = record(d) ? d : { text: String(d) };
  const text = ["text", "content", "message", "document"].map((k) => (o as Record<string, unknown>)[k]).find((v) => typeof v === "string") as string | undefined;
  const field = (k: string): unknown => (o as Record<string, unknown>)[k];
  const ts = field("ts");
  return {
    id: typeof field("id") === "string" ? (field("id") as string) : "",
    text: text ?? JSON.stringify(d),
    role: typeof field("role") === "string" ? (field("role") as string) : "",
    ts: typeof ts === "number" && ts > 1e6 ? ts : r.timestamp ? Date.parse(r.timestamp) / 1000 || null : null,
    score: r.score ?? null,
    tags: Array.isArray(field("tags")) ? (field("tags") as unknown[]).filter((v) => typeof v === "string") : [],
    beside: r.context_type === "previous" || r.context_type === "next",
  };
}

/** toFile writes records as lines. */
export function toFile(records: MemoryRecord[]): string {
  return records.map((r) => JSON.stringify(r) + "\n").join("");
}

/** fromFile reads records; it throws with the place of what is none. */
export function fromFile(text: string): MemoryRecord[] {
  const trimmed = text.trim();
  if (trimmed === "") return [];
  const values: unknown[] = trimmed.startsWith("[") ? (JSON.parse(trimmed) as unknown[]) : trimmed.split("\n").map((line, i) => {
    try {
      return JSON.parse(line);
    } catch {
      throw new Error(`line ${i + 1}: no JSON`);
    }
  });
  return values.map((v, i) => {
    if (!record(v) || typeof v.text !== "string" || v.text.trim() === "") throw new Error(`record ${i + 1}: no text`);
    return v as unknown as MemoryRecord;
  });
}

/** parts cuts a list into lists of at most so many. */
export function parts<T>(all: T[], most: number): T[][] {
  return Array.from({ length: Math.ceil(all.length / most) }, (_, i) => all.slice(i * most, (i + 1) * most));
}
