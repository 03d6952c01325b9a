// The one MQTT client of the page: it connects and reconnects by itself, says honestly how it stands, and
// carries typed messages. Nothing is kept for later while it is offline: a command that arrived late
// would surprise somebody.
import type { IClientOptions, IClientPublishOptions, IPublishPacket, MqttClient } from "mqtt";
import type { Topic } from "./contract.gen";
import { flat, newID, read, wrap, type Incoming } from "./message";
import { t } from "./strings";

/** How the connection stands. */
export type Link = "connecting" | "online" | "offline" | "signin";

/** Raw is a message whose payload is not looked into. */
export interface Raw {
  topic: string;
  payload: Uint8Array;
  props: Record<string, string>;
  retained: boolean;
  qos: 0 | 1 | 2;
  /** performance.now() at its arrival */
  at: number;
}

/** Dial opens a connection; mqtt.connect in life, something else in tests. */
export type Dial = (options: IClientOptions) => MqttClient;

/** A client has one subscription for each filter, whoever wants to hear of it here. */
interface Subscription {
  id: number;
  filter: string;
  qos: 0 | 1 | 2;
  /** retain flag as it was published, for who wants to know */
  asPublished: boolean;
  handlers: Set<(m: Raw) => void>;
}

/** Waits between attempts in ms: doubled each time, and spread, so that pages do not come all at once. */
const firstWait = 500;
const longestWait = 10_000;
/** An acknowledgement that takes longer than that is given up. */
const ackWithin = 10_000;
const keepAlive = 15;

/** Reason codes of MQTT 5. */
const badUser = 0x86;
const notAuthorized = 0x87;
const takenOver = 0x8e;

/** wait is how long to wait in ms before attempt n, counted from 0; spread is 0 to 1. */
export function wait(n: number, spread: number): number {
  return Math.min(longestWait, firstWait * 2 ** n) * (0.5 + spread / 2);
}

/** refusal reports whether an error of connecting says that the user is not let in. */
export function refusal(err: unknown): boolean {
  const code = (err as { code?: unknown } | null)?.code;
  return code === badUser || code === notAuthorized;
}

export class Bus {
  link: Link = $state("connecting");
  /** performance.now() since when link is what it is */
  since: number = $state(performance.now());
  /** why it is offline, for people */
  reason: string = $state("");
  /** performance.now() of the next attempt while it is offline */
  retryAt: number = $state(0);
  /** client id, and name of this page's microphone and speaker */
  id: string = $state("");
  /** what the robot's clock is ahead of ours, in seconds; null until something live was heard */
  skew: number | null = $state(null);

  /** is called each time that a connection was made */
  greet: () => void = () => {};

  private client: MqttClient | null = null;
  private subs = new Map<number, Subscription>();
  private nextSub = 1;
  private attempt = 0;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private stopped = true;
  private everOnline = false;

  constructor(
    private readonly dial: Dial,
    id: string,
  ) {
    this.id = id;
  }

  /** start connects and stays connected until stop. */
  start(): void {
    this.stopped = false;
    this.attempt = 0;
    this.open();
  }

  stop(): void {
    this.stopped = true;
    clearTimeout(this.timer);
    this.drop();
  }

  /** again connects at once instead of when the wait is over. */
  again(): void {
    if (this.link === "online" || this.link === "signin" || this.stopped) return;
    this.attempt = 0;
    this.open();
  }

  private set(link: Link, reason = ""): void {
    if (link !== this.link) this.since = performance.now();
    this.link = link;
    this.reason = reason;
  }

  private drop(): void {
    const c = this.client;
    this.client = null;
    c?.removeAllListeners();
    c?.on("error", () => {}); // what it says after its end concerns nobody
    c?.end(true);
  }

  private open(): void {
    clearTimeout(this.timer);
    this.drop();
    this.set(this.everOnline ? "offline" : "connecting", this.reason);
    this.retryAt = 0;
    const c = this.dial({
      clientId: this.id,
      protocolVersion: 5,
      clean: true,
      keepalive: keepAlive,
      reconnectPeriod: 0,
      connectTimeout: 8000,
      queueQoSZero: false,
      resubscribe: false,
      timerVariant: "native", // the other one needs a worker from a blob, which the content policy forbids
      properties: { sessionExpiryInterval: 0, requestProblemInformation: true },
    });
    this.client = c;
    let refused = false;
    c.on("connect", () => {
      if (this.client !== c) return;
      this.attempt = 0;
      this.everOnline = true;
      for (const s of this.subs.values()) this.ask(s);
      this.set("online");
      this.greet();
    });
    c.on("message", (topic, payload, packet) => this.deliver(topic, payload, packet));
    c.on("disconnect", (packet) => {
      if (packet.reasonCode === takenOver) this.id = `page-${newID().slice(0, 8)}`; // a copy of this tab has our id
      refused ||= packet.reasonCode === notAuthorized;
    });
    c.on("error", (err) => {
      refused ||= refusal(err);
      this.reason = err.message;
    });
    c.on("close", () => {
      if (this.client !== c) return;
      this.drop();
      if (this.stopped) return;
      if (refused) {
        this.set("signin");
        return;
      }
      const ms = wait(this.attempt++, Math.random());
      this.retryAt = performance.now() + ms;
      this.set("offline", this.reason || t.lost);
      this.timer = setTimeout(() => this.open(), ms);
    });
  }

  private ask(s: Subscription): void {
    this.client?.subscribe(
      s.filter,
      { qos: s.qos, rap: s.asPublished, rh: 0, properties: { subscriptionIdentifier: s.id } },
      (err) => err && console.warn(`subscription to ${s.filter} refused: ${err.message}`),
    );
  }

  /** deliver hands a message to the subscriptions that the broker names: their filters may overlap. */
  private deliver(topic: string, payload: Uint8Array, packet: IPublishPacket): void {
    const ids = packet.properties?.subscriptionIdentifier;
    const m: Raw = { topic, payload, props: flat(packet.properties?.userProperties as Record<string, string | string[]> | undefined), retained: packet.retain, qos: packet.qos as 0 | 1 | 2, at: performance.now() };
    for (const id of Array.isArray(ids) ? ids : [ids ?? 0]) {
      for (const handle of this.subs.get(id)?.handlers ?? []) {
        try {
          handle(m);
        } catch (err) { // thrown on, it would end the library's reading, and the page would seem connected and hear nothing
          console.warn(`message on ${topic} not understood: ${(err as Error).message}`);
        }
      }
    }
  }

  /** raw subscribes to a filter; what it returns ends that. What is retained comes to each that asks. */
  raw(filter: string, qos: 0 | 1 | 2, handle: (m: Raw) => void, asPublished = false): () => void {
    let s = [...this.subs.values()].find((o) => o.filter === filter);
    if (!s) {
      s = { id: this.nextSub++, filter, qos, asPublished, handlers: new Set() };
      this.subs.set(s.id, s);
    }
    const mine = s;
    mine.qos = Math.max(mine.qos, qos) as 0 | 1 | 2;
    mine.handlers.add(handle);
    if (this.link === "online") this.ask(mine);
    return () => {
      mine.handlers.delete(handle);
      if (mine.handlers.size > 0 || !this.subs.delete(mine.id)) return;
      if (this.link === "online") this.client?.unsubscribe(filter);
    };
  }

  /** on subscribes to a topic of the table. What is no JSON object is left out. */
  on<T>(topic: Topic<T>, handle: (m: Incoming<T>) => void): () => void {
    return this.raw(topic.name, topic.qos, (m) => {
      const in_ = read(m.topic, m.payload, m.props, m.retained, m.qos, m.at);
      if (!in_) return;
      if (!in_.retained && in_.ts !== null && in_.source !== this.id) this.clock(in_.ts);
      handle(in_ as Incoming<T>);
    });
  }

  /** clock keeps how far the robot's clock is ahead: messages can only be late, so the largest difference counts. */
  private clock(ts: number): void {
    const ahead = ts - Date.now() / 1000;
    if (Math.abs(ahead) > 1e8) return; // seconds since a start, not since 1970
    if (this.skew === null || ahead > this.skew || this.skew - ahead > 30) this.skew = ahead;
  }

  /** hint is the robot's time to the second, for as long as nothing live was heard. */
  hint(ts: number): void {
    const ahead = ts - Date.now() / 1000;
    if (this.skew === null && Number.isFinite(ahead) && Math.abs(ahead) > 2) this.skew = ahead;
  }

  /** now is the robot's time in Unix seconds, as far as it is known. */
  now(): number {
    return Date.now() / 1000 + (this.skew ?? 0);
  }

  /** send publishes a message; it resolves to its id when the broker has it, and throws in words for people. */
  async send<T>(topic: Topic<T>, data: T, o: { id?: string; props?: Record<string, string> } = {}): Promise<string> {
    const id = o.id ?? newID();
    await this.write(topic.name, wrap(topic, data, id, this.id, this.now()), { qos: topic.qos, retain: topic.retain }, o.props);
    return id;
  }

  /** write publishes bytes. */
  write(topic: string, payload: string | Uint8Array, o: { qos: 0 | 1 | 2; retain: boolean }, user?: Record<string, string>): Promise<void> {
    const c = this.client;
    if (!c || this.link !== "online") return Promise.reject(new Error(t.notSent));
    const options: IClientPublishOptions = { qos: o.qos, retain: o.retain, properties: user ? { userProperties: user } : {} };
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(t.noAck)), ackWithin);
      c.publish(topic, payload as string, options, (err) => {
        clearTimeout(timer);
        if (err) reject(new Error((err as { code?: number }).code === notAuthorized ? t.notAllowed : err.message));
        else resolve();
      });
    });
  }
}
