// Sound as numbers: to 16 kHz with 16 bits for the robot, and back for the speaker.

/** Rate of what goes to the robot, in Hz. */
export const robotRate = 16_000;
/** Samples of a message: 20 ms. */
export const chunkSamples = 320;

const taps = 32; // on each side, in input samples at ratios up to 3

/** Resampler changes the rate of a stream of samples: windowed sinc, with a low pass below the lower half rate. */
export class Resampler {
  private buffer: Float32Array = new Float32Array(taps); // silence before the beginning
  private position = taps; // in the buffer, of the next output sample
  private readonly step: number;
  private readonly cut: number;

  constructor(from: number, to: number) {
    if (!(from >= 8000 && from <= 384_000 && to >= 8000 && to <= 384_000)) throw new Error(`cannot resample from ${from} to ${to} Hz`);
    this.step = from / to;
    this.cut = Math.min(1, to / from) * 0.92;
  }

  /** process takes samples of -1 to 1 and gives those that are ready; it lags by 32 input samples. */
  process(input: Float32Array): Float32Array {
    const all = new Float32Array(this.buffer.length + input.length);
    all.set(this.buffer);
    all.set(input, this.buffer.length);
    const out: number[] = [];
    while (this.position + taps < all.length) {
      out.push(this.at(all, this.position));
      this.position += this.step;
    }
    const keep = Math.max(0, Math.floor(this.position) - taps);
    this.buffer = all.slice(keep);
    this.position -= keep;
    return Float32Array.from(out);
  }

  private at(x: Float32Array, p: number): number {
    if (this.step === 1) return x[Math.round(p)]!;
    let sum = 0;
    for (let i = Math.floor(p) - taps + 1; i <= Math.floor(p) + taps; i++) {
      const d = p - i;
      const window = 0.5 + 0.5 * Math.cos((Math.PI * d) / taps);
      const sinc = d === 0 ? this.cut : Math.sin(Math.PI * d * this.cut) / (Math.PI * d);
      sum += x[i]! * sinc * window;
    }
    return sum;
  }
}

/** toPCM makes signed 16 bit, little endian, of samples of -1 to 1. */
export function toPCM(samples: Float32Array): Uint8Array {
  const out = new DataView(new ArrayBuffer(samples.length * 2));
  for (let i = 0; i < samples.length; i++) {
    const s = Math.max(-1, Math.min(1, samples[i]!));
    out.setInt16(i * 2, Math.round(s * 32767), true);
  }
  return new Uint8Array(out.buffer);
}

/** fromPCM reads signed 16 bit, little endian; half a sample at the end is left out. */
export function fromPCM(bytes: Uint8Array): Float32Array<ArrayBuffer> {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const out = new Float32Array(bytes.byteLength >> 1);
  for (let i = 0; i < out.length; i++) out[i] = view.getInt16(i * 2, true) / 32768;
  return out;
}

/** level is the loudness of samples on a scale of 0 (-60 dB and less) to 1 (full). */
export function level(samples: Float32Array): number {
  let sum = 0;
  for (const s of samples) sum += s * s;
  const rms = Math.sqrt(sum / Math.max(1, samples.length));
  return rms > 0 ? Math.max(0, Math.min(1, 1 + (20 * Math.log10(rms)) / 60)) : 0;
}
