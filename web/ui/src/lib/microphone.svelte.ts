// This device's microphone as one of the robot's ears: 20 ms messages on audio/in/<our id>.
import type { Bus } from "./bus.svelte";
import workletURL from "./capture.worklet.ts?worker&url";
import { props, topics } from "./contract.gen";
import { at } from "./message";
import { chunkSamples, robotRate } from "./pcm";
import { t } from "./strings";

/** Silence that follows push to talk, in messages: before its end is said, so that the last word has arrived,
 * and after, because who listens looks at the microphone's state when sound comes. */
const tail = { before: 10, after: 25 };
/** The end of push to talk in ms: the microphone is closed that long, which ends what was said. */
const closed = 1000;

export type Mode = "off" | "push" | "hands-free";

export class Microphone {
  mode: Mode = $state("off");
  /** 0 to 1 */
  level: number = $state(0);
  /** why it cannot be used, for people */
  error: string = $state("");
  /** messages that were sent, and that were lost because there was no connection */
  sent: number = $state(0);
  lost: number = $state(0);

  private context: AudioContext | null = null;
  private stream: MediaStream | null = null;
  private opening: Promise<void> | null = null;
  /** calls of close: what was being opened before one is not wanted any more */
  private closes = 0;
  private silence: ReturnType<typeof setInterval> | undefined;

  constructor(private readonly bus: Bus) {}

  /** check reports whether the browser could give a microphone at all, and says in error why not. */
  check(): boolean {
    const can = window.isSecureContext && !!navigator.mediaDevices?.getUserMedia;
    this.error = can ? "" : t.micNeedsHttps;
    return can;
  }

  /** start sends until stop; push to talk ends hands-free. */
  async start(mode: "push" | "hands-free"): Promise<boolean> {
    clearInterval(this.silence);
    if (!this.check()) return false;
    this.mode = mode;
    const opening = (this.opening ??= this.open());
    try {
      await opening;
    } catch (err) {
      if (this.opening !== opening) return false; // it was stopped meanwhile
      this.close();
      const name = (err as Error).name;
      this.error = name === "NotAllowedError" ? t.micDenied : name === "NotFoundError" ? t.micNone : t.micFailed((err as Error).message);
      return false;
    }
    return true;
  }

  /** stop closes the microphone. After push to talk the robot is told that this was all. */
  stop(): void {
    const pushed = this.mode === "push" && this.context !== null;
    this.close();
    if (!pushed) return;
    let n = 0;
    const quiet = new Uint8Array(chunkSamples * 2);
    this.silence = setInterval(() => {
      this.send(quiet);
      n++;
      if (n === tail.before + tail.after) clearInterval(this.silence);
      if (n !== tail.before) return;
      const end = { action: "mute" as const, reason: "push_to_talk", ttl_ms: closed };
      this.bus.send(topics.wakeMic, end, { props: { [props.origin]: this.bus.id } }).catch(() => {}); // the end of the sound says the same, later
    }, (1000 * chunkSamples) / robotRate);
  }

  private async open(): Promise<void> {
    const closes = this.closes;
    const stream = await navigator.mediaDevices.getUserMedia({
      audio: { channelCount: 1, echoCancellation: true, noiseSuppression: true, autoGainControl: true },
    });
    if (this.closes !== closes) { // stopped while a person was asked; there may be another one by now
      for (const track of stream.getTracks()) track.stop();
      return;
    }
    const context = new AudioContext();
    this.stream = stream;
    this.context = context;
    await context.audioWorklet.addModule(workletURL);
    await context.resume();
    if (this.closes !== closes) return;
    const node = new AudioWorkletNode(context, "capture", { numberOfInputs: 1, numberOfOutputs: 0, channelCount: 1, channelCountMode: "explicit" });
    node.port.onmessage = (e: MessageEvent<{ pcm: Uint8Array; level: number }>) => {
      if (this.mode === "off") return;
      this.level = e.data.level;
      this.send(e.data.pcm);
    };
    stream.getAudioTracks()[0]?.addEventListener("ended", () => this.stream === stream && this.close()); // unplugged, or taken back
    context.createMediaStreamSource(stream).connect(node);
  }

  private close(): void {
    this.closes++;
    this.mode = "off";
    this.level = 0;
    for (const track of this.stream?.getTracks() ?? []) track.stop();
    void this.context?.close();
    this.stream = this.context = this.opening = null;
  }

  private send(pcm: Uint8Array): void {
    const topic = at(topics.audioIn, this.bus.id);
    this.bus.write(topic.name, pcm, topic, { [props.rate]: String(robotRate) }).then(
      () => this.sent++,
      () => this.lost++,
    );
  }

  /** announce makes this page known as a place for answers, without a sound: who sends on audio/in is answered on audio/out. */
  announce(): Promise<void> {
    const topic = at(topics.audioIn, this.bus.id);
    return this.bus.write(topic.name, new Uint8Array(0), topic, { [props.rate]: String(robotRate) });
  }
}
