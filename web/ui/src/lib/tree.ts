// Everything that is said on the bus, as a tree of topics with counts, rates and the latest messages. It
// has fixed limits, and counts what they kept out.
import type { Raw } from "./bus.svelte";
import { parse, record } from "./message";

/** Limits. */
export const maxTopics = 5000;
/** levels of a topic */
export const maxDepth = 64;
export const maxHistory = 50;
/** bytes that all histories may hold */
export const maxBytes = 48 << 20;
/** bytes of a payload that are kept */
export const maxPayload = 256 << 10;
/** A topic that says more in a second keeps a part of it only. */
export const keptPerSecond = 25;

/** Kept is a message of a history. */
export interface Kept {
  payload: Uint8Array;
  /** bytes it had; more than payload if it was cut */
  size: number;
  retained: boolean;
  props: Record<string, string>;
  /** performance.now() of its arrival */
  at: number;
}

export interface Node {
  name: string;
  topic: string;
  depth: number;
  children: Map<string, Node>;
  /** messages on this very topic */
  count: number;
  /** and below */
  total: number;
  bytes: number;
  /** messages a second, here and below */
  rate: number;
  /** newest last */
  history: Kept[];
  /** messages that were counted and not kept, because they came too fast */
  skipped: number;
  /** the broker keeps the last one, as far as was seen */
  retained: boolean;
  /** what is wrong with the last message by the contract; empty: nothing, or nobody looked */
  wrong: string;
  counted: number; // total at the last tick
}

function node(name: string, topic: string, depth: number): Node {
  return { name, topic, depth, children: new Map(), count: 0, total: 0, bytes: 0, rate: 0, history: [], skipped: 0, retained: false, wrong: "", counted: 0 };
}

export class Tree {
  readonly root = node("", "", -1);
  topics = 0;
  /** bytes in all histories */
  held = 0;
  /** messages of topics that found no place */
  refused = 0;
  /** messages that came too fast to be kept */
  skipped = 0;
  /** says what is wrong with a message by the contract */
  judge: (topic: string, payload: Uint8Array) => string = () => "";

  private ticked = 0;

  /** add takes a message. */
  add(m: Raw): void {
    this.root.total++;
    const path = this.path(m.topic);
    const n = path?.at(-1);
    if (!path || !n) {
      this.refused++;
      return;
    }
    for (const p of path) p.total++;
    n.count++;
    n.bytes += m.payload.length;
    if (m.retained) n.retained = m.payload.length > 0;
    const window = n.history[n.history.length - keptPerSecond];
    if (window && m.at - window.at < 1000) {
      // The latest value counts most: it takes the place of the one before.
      n.skipped++;
      this.skipped++;
      this.drop(n, n.history.length - 1);
    }
    this.keep(n, m);
  }

  private keep(n: Node, m: Raw): void {
    const cut = m.payload.length > maxPayload;
    // A copy: the library's slices hold all that came in the same frame.
    const payload = m.payload.slice(0, cut ? maxPayload : undefined);
    n.wrong = cut ? "" : this.judge(m.topic, payload); // of a part nobody can say
    n.history.push({ payload, size: m.payload.length, retained: m.retained, props: m.props, at: m.at });
    this.held += payload.length;
    if (n.history.length > maxHistory) this.drop(n, 0);
    if (this.held > maxBytes) this.shrink();
  }

  private drop(n: Node, i: number): void {
    this.held -= n.history[i]!.payload.length;
    n.history.splice(i, 1);
  }

  /** shrink leaves each topic its latest message only, and if that is too much, not even that. */
  private shrink(): void {
    this.each((n) => {
      while (n.history.length > 1) this.drop(n, 0);
    });
    if (this.held > maxBytes) this.each((n) => n.history.length && this.drop(n, 0));
  }

  private path(topic: string): Node[] | null {
    const path: Node[] = [];
    let at = this.root;
    const names = topic.split("/", maxDepth + 1);
    if (names.length > maxDepth) return null;
    for (const name of names) {
      let next = at.children.get(name);
      if (!next) {
        if (this.topics >= maxTopics) return null;
        next = node(name, at === this.root ? name : `${at.topic}/${name}`, at.depth + 1);
        at.children.set(name, next);
        this.topics++;
      }
      path.push(next);
      at = next;
    }
    return path;
  }

  /** each visits all nodes, parents first, in the order of their names. */
  each(visit: (n: Node) => void, from: Node = this.root): void {
    for (const n of sorted(from)) {
      visit(n);
      this.each(visit, n);
    }
  }

  find(topic: string): Node | null {
    let at: Node | undefined = this.root;
    for (const name of topic.split("/")) at = at?.children.get(name);
    return at ?? null;
  }

  /** tick brings rates up to date. */
  tick(now: number): void {
    const s = (now - this.ticked) / 1000;
    if (s <= 0) return;
    const first = this.ticked === 0;
    this.ticked = now;
    const one = (n: Node): void => {
      const fresh = first ? 0 : (n.total - n.counted) / s;
      n.counted = n.total;
      n.rate = fresh > n.rate ? fresh : n.rate * 0.7 + fresh * 0.3;
      if (n.rate < 0.05) n.rate = 0;
      for (const c of n.children.values()) one(c);
    };
    one(this.root);
  }

  /** rows are the nodes to show: those that are open, or lead to what a filter finds. */
  rows(open: Set<string>, filter: string): Node[] {
    const want = filter.trim().toLowerCase();
    const out: Node[] = [];
    const walk = (n: Node): boolean => {
      const at = out.length;
      let hit = want === "" || finds(n, want);
      if (n !== this.root) out.push(n);
      if (n === this.root || want !== "" || open.has(n.topic)) for (const c of sorted(n)) hit = walk(c) || hit;
      if (!hit) out.length = at;
      return hit;
    };
    walk(this.root);
    return out;
  }

  /** retained are the topics of which the broker keeps a message and that a test accepts. */
  retained(accept: (topic: string) => boolean): string[] {
    const out: string[] = [];
    this.each((n) => n.retained && accept(n.topic) && out.push(n.topic));
    return out;
  }
}

function sorted(n: Node): Node[] {
  return [...n.children.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
}

const loose = new TextDecoder();

/** finds reports whether a word is in the topic or in the latest payload. */
function finds(n: Node, want: string): boolean {
  const last = n.history.at(-1);
  return n.topic.toLowerCase().includes(want) || (last !== undefined && loose.decode(last.payload.subarray(0, 4096)).toLowerCase().includes(want));
}

/** stored says since when a retained message is kept and who sent it, as far as it says so itself. */
export function stored(k: Kept): { source: string; ts: number } | null {
  const v = parse(k.payload);
  if (!record(v) || typeof v.ts !== "number" || typeof v.source !== "string") return null;
  return { source: v.source, ts: v.ts };
}
