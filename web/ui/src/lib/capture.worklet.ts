// Runs on the audio thread: gathers 20 ms of the microphone at 16 kHz and posts them.
import { chunkSamples, level, Resampler, robotRate, toPCM } from "./pcm";

declare const sampleRate: number;
declare class AudioWorkletProcessor {
  readonly port: MessagePort;
}
declare function registerProcessor(name: string, type: unknown): void;

class Capture extends AudioWorkletProcessor {
  private readonly resampler = new Resampler(sampleRate, robotRate);
  private readonly chunk = new Float32Array(chunkSamples);
  private n = 0;

  process(inputs: Float32Array[][]): boolean {
    const channel = inputs[0]?.[0];
    if (!channel) return true;
    for (const s of this.resampler.process(channel)) {
      this.chunk[this.n++] = s;
      if (this.n === chunkSamples) {
        this.n = 0;
        const pcm = toPCM(this.chunk);
        this.port.postMessage({ pcm, level: level(this.chunk) }, [pcm.buffer]);
      }
    }
    return true;
  }
}

registerProcessor("capture", Capture);
