// The conversation as the page shows it: what people said and typed, and what the robot answers, put
// together from several topics that may overtake each other.
import { topics, type ChatDelta, type ChatResponse, type FinalTranscript, type PartialTranscript, type Say, type SpeechStatus, type ToolCall, type TypedText } from "./contract.gen";
import type { Incoming } from "./message";

/** Who speaks in an entry. A note is what the robot says without being asked. */
export type Who = "user" | "robot" | "note";

/** Entry is one bubble. */
export interface Entry {
  key: string;
  who: Who;
  text: string;
  /** microphone or page that asked */
  origin: string | null;
  turn: string | null;
  /** performance.now() of its first piece */
  at: number;
  state: "sending" | "failed" | "open" | "done" | "cut";
  /** why there is no answer, or not to its end */
  error: string | null;
  /** a piece of the stream was lost, and the whole text has not come */
  gap: boolean;
  speaking: boolean;
  /** names of the tools that were used for it */
  tools: string[];
  /** who made it: provider and model */
  by: string | null;
  /** kind of a note */
  note: "ack" | "announce" | null;
}

/** Turns that begin with this are tests of the model and no conversation. */
export const testTurn = "test-";

/** How many entries are kept. */
const limit = 400;
/** How long the text of one entry may get, in characters. */
const longest = 32_768;

export class Conversation {
  entries: Entry[] = $state([]);
  /** what is being heard, and performance.now() of it */
  partial: { text: string; at: number } | null = $state(null);

  private byKey = new Map<string, Entry>();
  /** number of the next piece of a stream, by key */
  private next = new Map<string, number>();
  /** keys whose text comes from the model, so that what is spoken of it is not added again */
  private streamed = new Set<string>();
  private pendingTools = new Map<string, string[]>();

  /** typed notes a text that this page is about to send. */
  typed(id: string, text: string, origin: string, now: number): void {
    this.user(`u:${id}`, text, origin, id, now, "sending");
  }

  /** sent says what became of it. */
  sent(id: string, ok: boolean): void {
    const e = this.byKey.get(`u:${id}`);
    if (e?.state === "sending") e.state = ok ? "done" : "failed"; // what was heard on the bus did arrive
  }

  /** missed is for a new connection: how what was under way before it ended was not heard. */
  missed(): void {
    this.partial = null;
    for (const e of this.entries) {
      e.speaking = false;
      if (e.state === "open") e.state = "cut"; // until there is more of it
    }
  }

  text(m: Incoming<TypedText>): void {
    const turn = m.turn ?? m.id;
    const known = turn ? this.byKey.get(`u:${turn}`) : undefined;
    if (known) known.state = "done";
    else if (str(m.data.text).trim() !== "") this.user(`u:${turn ?? m.at}`, str(m.data.text), m.origin ?? (str(m.data.origin) || m.source), turn, m.at, "done");
  }

  final(m: Incoming<FinalTranscript>): void {
    this.partial = null;
    const text = str(m.data.text).trim();
    if (text) this.user(`f:${m.id ?? m.at}`, text, m.origin, m.turn ?? m.id, m.at, "done");
  }

  heard(m: Incoming<PartialTranscript>): void {
    const text = str(m.data.text).trim();
    this.partial = text ? { text, at: m.at } : null;
  }

  stream(m: Incoming<ChatDelta>): void {
    if (m.turn?.startsWith(testTurn)) return;
    const e = this.robot(str(m.data.id), m);
    const key = e.key;
    this.streamed.add(key);
    const seq = typeof m.data.seq === "number" ? m.data.seq : null;
    const want = this.next.get(key);
    if (seq !== null) {
      if (want !== undefined && seq < want) return; // a repeat
      if (want !== undefined ? seq > want : seq > 1) e.gap = true;
      this.next.set(key, seq + 1);
    }
    if (e.state === "done") return; // the whole text has come already
    e.text = (e.text + str(m.data.delta)).slice(0, longest);
    e.by = maker(m.data) ?? e.by;
    if (m.data.done) e.state = "done";
  }

  response(m: Incoming<ChatResponse>): void {
    if (m.turn?.startsWith(testTurn)) return;
    const e = this.robot(str(m.data.id), m);
    this.streamed.add(e.key);
    const reply = str(m.data.reply).trim();
    if (reply) {
      e.text = reply.slice(0, longest);
      e.gap = false;
    }
    e.error = str(m.data.error) || null;
    e.by = maker(m.data) ?? e.by;
    e.state = e.error && reply ? "cut" : "done";
  }

  /** say shows what is spoken where it does not come from the model. */
  say(m: Incoming<Say>): void {
    const text = str(m.data.text).trim();
    const utt = str(m.data.utt_id) || m.id || String(m.at);
    if (!text) return;
    const note = m.data.wake_ack ? "ack" : m.data.system_announce ? "announce" : null;
    const e = this.robot(utt, m, note);
    if (this.streamed.has(e.key)) return;
    const glue = e.text === "" || /^[.,!?;:]/.test(text) ? "" : " ";
    e.text = (e.text + glue + text).slice(0, longest);
    e.state = "done";
  }

  speech(m: Incoming<SpeechStatus>): void {
    const e = this.byKey.get(`r:${str(m.data.utt_id)}`);
    if (!e) return;
    e.speaking = m.data.event === "speaking_start" || m.data.event === "resumed";
    if (m.data.event === "stopped") e.state = "cut";
  }

  tool(m: Incoming<ToolCall>): void {
    const name = str(m.data.name).split("__").at(-1) ?? "";
    const turn = m.turn;
    if (!name || !turn) return;
    const e = this.entries.findLast((x) => x.who === "robot" && x.turn === turn);
    if (e) {
      if (e.tools.length < 16) e.tools.push(name);
      return;
    }
    const list = this.pendingTools.get(turn) ?? [];
    if (list.length < 16) this.pendingTools.set(turn, [...list, name]);
    if (this.pendingTools.size > 32) this.pendingTools.delete(this.pendingTools.keys().next().value!);
  }

  private user(key: string, text: string, origin: string | null, turn: string | null, at: number, state: Entry["state"]): void {
    if (this.byKey.has(key)) return;
    this.add({ ...blank, key, who: "user", text: text.slice(0, longest), origin, turn, at, state, tools: [] });
  }

  private robot(utt: string, m: Incoming, note: Entry["note"] = null): Entry {
    const key = `r:${utt}`;
    const known = this.byKey.get(key);
    if (known) return known;
    const tools = (m.turn && this.pendingTools.get(m.turn)) || [];
    if (m.turn) this.pendingTools.delete(m.turn);
    return this.add({ ...blank, key, who: note ? "note" : "robot", origin: m.origin, turn: m.turn, at: m.at, note, tools });
  }

  private add(e: Entry): Entry {
    this.entries.push(e);
    const live = this.entries.at(-1)!; // the one that the page watches
    this.byKey.set(e.key, live);
    while (this.entries.length > limit) {
      const old = this.entries.shift()!;
      this.byKey.delete(old.key);
      this.next.delete(old.key);
      this.streamed.delete(old.key);
    }
    return live;
  }
}

const blank: Omit<Entry, "key" | "who" | "tools"> = {
  text: "", origin: null, turn: null, at: 0, state: "open", error: null, gap: false, speaking: false, by: null, note: null,
};

function str(v: unknown): string {
  return typeof v === "string" ? v : "";
}

function maker(d: { provider?: unknown; model?: unknown }): string | null {
  const parts = [str(d.provider), str(d.model)].filter((s, i, all) => s && all.indexOf(s) === i);
  return parts.length ? parts.join(" · ") : null;
}

/** conversationTopics joins a conversation to the bus. */
export function conversationTopics(bus: { on<T>(topic: import("./contract.gen").Topic<T>, handle: (m: Incoming<T>) => void): () => void }, c: Conversation): (() => void)[] {
  return [
    bus.on(topics.dialogueText, (m) => c.text(m)),
    bus.on(topics.sttFinal, (m) => c.final(m)),
    bus.on(topics.sttPartial, (m) => c.heard(m)),
    bus.on(topics.llmStream, (m) => c.stream(m)),
    bus.on(topics.llmResponse, (m) => c.response(m)),
    bus.on(topics.ttsSay, (m) => c.say(m)),
    bus.on(topics.ttsStatus, (m) => c.speech(m)),
    bus.on(topics.llmToolCallRequest, (m) => c.tool(m)),
  ];
}
