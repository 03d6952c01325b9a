import { describe, expect, test } from "vitest";
import { fromPCM, level, Resampler, toPCM } from "./pcm";

/** tone is a sine of a frequency. */
function tone(hz: number, rate: number, seconds: number): Float32Array {
  return Float32Array.from({ length: Math.round(rate * seconds) }, (_, i) => 0.5 * Math.sin((2 * Math.PI * hz * i) / rate));
}

/** resample does it in pieces of 128, as the browser gives them. */
function resample(x: Float32Array, from: number, to: number): Float32Array {
  const r = new Resampler(from, to);
  const out: number[] = [];
  for (let i = 0; i < x.length; i += 128) out.push(...r.process(x.subarray(i, i + 128)));
  return Float32Array.from(out);
}

const rms = (x: Float32Array): number => Math.sqrt(x.reduce((a, b) => a + b * b, 0) / x.length);

describe("Resampler", () => {
  test.each([48_000, 44_100, 16_000, 22_050, 96_000, 8000])("keeps a tone of 440 Hz and its length from %d Hz", (from) => {
    const out = resample(tone(440, from, 1), from, 16_000);
    expect(Math.abs(out.length - 16_000)).toBeLessThan(80);
    const middle = out.subarray(2000, out.length - 2000);
    expect(rms(middle)).toBeCloseTo(0.5 / Math.SQRT2, 2);
    let crossings = 0;
    for (let i = 1; i < middle.length; i++) if (middle[i - 1]! < 0 !== middle[i]! < 0) crossings++;
    expect(crossings / 2 / (middle.length / 16_000)).toBeCloseTo(440, -1);
  });
  test("takes out what the lower rate cannot hold", () => {
    const out = resample(tone(11_000, 48_000, 0.5), 48_000, 16_000);
    expect(rms(out.subarray(500, out.length - 500))).toBeLessThan(0.01);
  });
  test("refuses odd rates", () => {
    expect(() => new Resampler(0, 16_000)).toThrow("0 to 16000");
    expect(() => new Resampler(NaN, 16_000)).toThrow();
  });
});

test("PCM there and back", () => {
  const x = Float32Array.from([0, 0.5, -0.5, 1, -1, 2, -2]);
  const pcm = toPCM(x);
  expect([pcm[2], pcm[3]]).toEqual([0x00, 0x40]);
  const back = fromPCM(pcm);
  [0, 0.5, -0.5, 1, -1, 1, -1].forEach((v, i) => expect(back[i]).toBeCloseTo(v, 3));
  expect(fromPCM(new Uint8Array(3)).length).toBe(1);
});

test("level is 0 for silence and 1 for full", () => {
  expect(level(new Float32Array(320))).toBe(0);
  expect(level(new Float32Array(320).fill(1))).toBe(1);
  expect(level(new Float32Array(320).fill(0.001))).toBeCloseTo(0, 2);
  expect(level(new Float32Array(0))).toBe(0);
});
