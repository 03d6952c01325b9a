// This device's speaker as one of the robot's mouths: plays audio/out/<our id>.
import type { Bus, Raw } from "./bus.svelte";
import { props, topics } from "./contract.gen";
import { at } from "./message";
import { fromPCM, robotRate } from "./pcm";

/** Time that the first piece waits in s, so that the next ones may come a little late. */
const cushion = 0.06;
/** Sound that may wait in s; what comes on top of that is dropped. */
const longest = 60;

/** place is when a piece of sound begins: behind the one before, or after the cushion if that has ended. */
export function place(now: number, end: number): number {
  return end > now ? end : now + cushion;
}

export class Speaker {
  playing: boolean = $state(false);
  /** samples that were played so far, for who wants to see that it works */
  samples: number = $state(0);

  private context: AudioContext | null = null;
  private waiting = new Set<AudioBufferSourceNode>();
  private end = 0;

  constructor(private readonly bus: Bus) {}

  /** listen plays until what it returns is called. */
  listen(): () => void {
    const ends = this.bus.raw(at(topics.audioOut, this.bus.id).name, 0, (m) => this.hear(m));
    return () => {
      ends();
      this.hush();
    };
  }

  /** wake lets sound out; browsers want a gesture of a person for that. */
  wake(): void {
    this.context ??= new AudioContext();
    if (this.context.state === "suspended") void this.context.resume();
  }

  /** hush forgets what has not been played. */
  hush(): void {
    for (const node of this.waiting) node.stop();
    this.waiting.clear();
    this.end = 0;
    this.playing = false;
  }

  private hear(m: Raw): void {
    if (m.payload.length === 0) {
      if (m.props[props.dropped] === "true") this.hush();
      return;
    }
    const rate = Number(m.props[props.rate] ?? robotRate);
    if (!(rate >= 8000 && rate <= 96_000)) return;
    this.wake();
    const context = this.context!;
    const pcm = fromPCM(m.payload);
    if (pcm.length === 0 || this.end - context.currentTime > longest) return;
    const buffer = context.createBuffer(1, pcm.length, rate);
    buffer.copyToChannel(pcm, 0);
    const node = context.createBufferSource();
    node.buffer = buffer;
    node.connect(context.destination);
    const start = place(context.currentTime, this.end);
    node.start(start);
    this.end = start + buffer.duration;
    this.waiting.add(node);
    this.playing = true;
    this.samples += pcm.length;
    node.onended = () => {
      this.waiting.delete(node);
      if (this.waiting.size === 0) this.playing = false;
    };
  }
}
