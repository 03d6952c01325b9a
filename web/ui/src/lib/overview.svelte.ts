// How the robot is, asked for every two seconds while somebody looks: see internal/app/overview.go.

export interface Peer {
  name: string;
  state: string;
  up: boolean;
  required: boolean;
  since?: string;
  err?: string;
  last_seen?: string;
  heartbeat_latency_ms?: number;
  losses: number;
  restarts: number;
  drops: number;
}

export interface Client {
  id: string;
  user?: string;
  roles?: string[];
  address: string;
  connected: boolean;
  since: string;
  last_packet?: string;
  subscriptions: string[] | null;
  filters: number;
  received: number;
  sent: number;
  queued: number;
  inflight: number;
  queued_bytes: number;
  dropped?: Record<string, number>;
}

export interface Overview {
  version: string;
  started: string;
  now: string;
  health: "ok" | "degraded" | "failed";
  reason?: string;
  peers: Peer[] | null;
  clients: Client[] | null;
  client_count: number;
  broker: {
    received: number; sent: number; received_bytes: number; sent_bytes: number; subscriptions: number; retained: number; retained_bytes: number;
    queued: number; inflight: number; dropped?: Record<string, number>; refused: number; file_bytes: number; storage_reason?: string;
  };
  machine: { resident_bytes: number; memory_free: number; memory_total: number; disk_free: number; disk_total: number; temperature?: number; load1: number; processors: number };
}

/** Sample is one point of the figures over time. */
export interface Sample {
  /** Unix seconds */
  at: number;
  received: number;
  sent: number;
  memory: number;
}

const every = 2000;
const kept = 300;

export class Watch {
  now: Overview | null = $state.raw(null);
  /** performance.now() of it */
  at: number = $state(0);
  error: string = $state("");
  samples: Sample[] = $state.raw([]);
  /** messages a second of each client, received and sent, since the answer before */
  rates: Map<string, [number, number]> = $state.raw(new Map());

  private timer: ReturnType<typeof setTimeout> | undefined;
  private ended = false;

  start(): void {
    this.ended = false;
    void this.ask();
  }

  stop(): void {
    this.ended = true;
    clearTimeout(this.timer);
  }

  private async ask(): Promise<void> {
    if (!document.hidden) {
      try {
        const answer = await fetch("/api/v1/overview", { cache: "no-store", signal: AbortSignal.timeout(4 * every) });
        if (!answer.ok) throw new Error(`${answer.status} ${answer.statusText}`);
        this.take((await answer.json()) as Overview, performance.now());
        this.error = "";
      } catch (err) {
        this.error = (err as Error).message;
      }
    }
    if (!this.ended) this.timer = setTimeout(() => void this.ask(), every);
  }

  /** take keeps an answer, and makes rates of what it counts since the one before. */
  take(o: Overview, at: number): void {
    const before = this.now;
    const s = before ? (Date.parse(o.now) - Date.parse(before.now)) / 1000 : 0;
    if (before && s > 0 && before.started === o.started) {
      const rate = (a: number, b: number): number => Math.max(0, (a - b) / s);
      const old = new Map(before.clients?.map((c) => [c.id, c]));
      this.rates = new Map(o.clients?.map((c) => {
        const was = old.get(c.id);
        return [c.id, was ? [rate(c.received, was.received), rate(c.sent, was.sent)] : [0, 0]];
      }));
      const sample = { at: Date.parse(o.now) / 1000, received: rate(o.broker.received, before.broker.received), sent: rate(o.broker.sent, before.broker.sent), memory: o.machine.resident_bytes };
      this.samples = [...this.samples.slice(1 - kept), sample];
    }
    this.now = o;
    this.at = at;
  }
}

/** Verdict is the line at the top. */
export interface Verdict {
  level: "ok" | "warn" | "bad";
  /** names of peers that are not up; the required ones first */
  down: string[];
  /** what the robot itself says */
  reason: string;
  /** the answer is older than it should be */
  stale: boolean;
}

/** verdict judges an answer of an age in ms. Nothing that is stale is called well. */
export function verdict(o: Overview | null, age: number): Verdict {
  if (!o) return { level: "bad", down: [], reason: "", stale: true };
  const stale = age > 4 * every;
  // Who was never seen, or said goodbye and is needed by nobody, is no fault.
  const down = (o.peers ?? []).filter((p) => !p.up && (p.required || !["unknown", "shutdown", "connected"].includes(p.state))).sort((a, b) => Number(b.required) - Number(a.required)).map((p) => p.name);
  const level = stale || o.health === "failed" ? "bad" : o.health === "degraded" || down.length ? "warn" : "ok";
  return { level, down, reason: o.reason ?? "", stale };
}
