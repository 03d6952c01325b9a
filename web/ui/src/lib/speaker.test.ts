import { afterEach, beforeEach, expect, test, vi } from "vitest";
import type { Bus, Raw } from "./bus.svelte";
import { place, Speaker } from "./speaker.svelte";

interface Source {
  at: number;
  stopped: boolean;
  onended: (() => void) | null;
}

let now: number;
let played: Source[];
let hear: (m: Pick<Raw, "payload" | "props">) => void;
let filter: string;
let speaker: Speaker;
const sound = (samples: number, props: Record<string, string> = {}): void => hear({ payload: new Uint8Array(2 * samples), props });

beforeEach(() => {
  now = 10;
  played = [];
  vi.stubGlobal("AudioContext", class {
    state = "running";
    destination = {};
    get currentTime(): number {
      return now;
    }
    createBuffer = (_: number, n: number, rate: number) => ({ duration: n / rate, copyToChannel: () => {} });
    createBufferSource = (): unknown => {
      const s: Source = { at: -1, stopped: false, onended: null };
      played.push(s);
      return Object.assign(s, { connect: () => {}, start: (at: number) => (s.at = at), stop: () => (s.stopped = true) });
    };
  });
  speaker = new Speaker({
    id: "page-1",
    raw: (f: string, _: number, handle: typeof hear) => {
      filter = f;
      hear = handle;
      return () => {};
    },
  } as unknown as Bus);
  speaker.listen();
});
afterEach(() => void vi.unstubAllGlobals());

test("pieces follow each other without a gap, and begin anew after one", () => {
  expect(filter).toBe("audio/out/page-1");
  sound(1600);
  sound(2205, { rate: "22050" });
  sound(1600);
  expect(played.map((s) => s.at)).toEqual([expect.closeTo(10.06), expect.closeTo(10.16), expect.closeTo(10.26)]);
  now = 20;
  sound(1600);
  expect(played[3]!.at).toBeCloseTo(20.06);
  expect([place(5, 4), place(5, 6)]).toEqual([expect.closeTo(5.06), 6]);
});

test("hush and a dropped answer end all that waits, the end of one does not", () => {
  sound(1600);
  sound(1600);
  sound(0);
  expect(played.map((s) => s.stopped)).toEqual([false, false]);
  speaker.hush();
  expect([played.map((s) => s.stopped), speaker.playing]).toEqual([[true, true], false]);
  sound(1600);
  expect(played[2]!.at).toBeCloseTo(10.06);
  sound(0, { dropped: "true" });
  expect([played[2]!.stopped, speaker.playing]).toEqual([true, false]);
});

test("it plays until the last piece has ended", () => {
  sound(1600);
  sound(1600);
  played[0]!.onended!();
  expect(speaker.playing).toBe(true);
  played[1]!.onended!();
  expect(speaker.playing).toBe(false);
});

test("odd rates are left out, and what comes when a minute waits already", () => {
  for (const rate of ["0", "-1", "1e9", "x"]) sound(1600, { rate });
  expect(played).toHaveLength(0);
  for (let i = 0; i < 70; i++) sound(16_000);
  expect(played).toHaveLength(60);
});
