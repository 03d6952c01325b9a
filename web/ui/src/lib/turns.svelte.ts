// The timelines of the last turns: when each step of an exchange was seen here, in milliseconds from its
// beginning. Arrival at this page is the one clock that all steps share.
import { props, topics, type Topic } from "./contract.gen";
import type { Incoming } from "./message";

/** Steps of a turn, in the order in which they follow each other. */
export const steps = ["asked", "wake", "speechEnd", "transcript", "firstToken", "firstSound", "silence"] as const;
export type Step = (typeof steps)[number];

export interface Turn {
  id: string;
  text: string;
  /** performance.now() of each step that was seen */
  marks: Partial<Record<Step, number>>;
}

/** Bar is a part of a turn's timeline: from one step to the next. */
export interface Bar {
  step: Step;
  /** ms from the beginning of the turn to the end of the part */
  at: number;
  ms: number;
}

const limit = 30;

export class Turns {
  /** newest first */
  list: Turn[] = $state([]);

  /** mark notes the first time that a step is seen, and the last time of silence. */
  mark(id: string | null, step: Step, at: number, text = ""): void {
    if (!id) return;
    let turn = this.list.find((x) => x.id === id);
    if (!turn) {
      if (step === "silence" || step === "firstSound") return; // its beginning was before ours
      this.list.unshift({ id, text, marks: {} });
      if (this.list.length > limit) this.list.pop();
      turn = this.list[0]!;
    }
    if (text && !turn.text) turn.text = text;
    if (turn.marks[step] === undefined || step === "silence") turn.marks[step] = at;
  }
}

/** bars are the parts of a turn, each as long as it took. */
export function bars(turn: Turn): Bar[] {
  const seen = steps.filter((s) => turn.marks[s] !== undefined).map((step) => ({ step, at: turn.marks[step]! }));
  seen.sort((a, b) => a.at - b.at);
  const first = seen[0]?.at ?? 0;
  return seen.slice(1).map((s, i) => ({ step: s.step, at: s.at - first, ms: s.at - seen[i]!.at }));
}

/** begins is the step with which a turn began. */
export function begins(turn: Turn): Step | null {
  const seen = steps.filter((s) => turn.marks[s] !== undefined);
  seen.sort((a, b) => turn.marks[a]! - turn.marks[b]!);
  return seen[0] ?? null;
}

/** turnTopics joins the timelines to the bus. */
export function turnTopics(bus: { on<T>(topic: Topic<T>, handle: (m: Incoming<T>) => void): () => void }, turns: Turns): (() => void)[] {
  return [
    bus.on(topics.dialogueText, (m) => turns.mark(m.turn ?? m.id, "asked", m.at, String(m.data.text ?? ""))),
    bus.on(topics.wakeEvent, (m) => ["wake", "interrupt"].includes(String(m.data.type).toLowerCase()) && turns.mark(m.turn ?? m.id, "wake", m.at)),
    bus.on(topics.sttFinal, (m) => {
      // When the speech was over is said by the recogniser's clock, as is when the message was made.
      const end = Number(m.props[props.speechEnd]);
      const turn = m.turn ?? m.id;
      if (end > 0 && m.ts !== null && m.ts >= end && m.ts - end < 60) turns.mark(turn, "speechEnd", m.at - (m.ts - end) * 1000);
      turns.mark(turn, "transcript", m.at, String(m.data.text ?? ""));
    }),
    bus.on(topics.llmStream, (m) => m.data.delta && turns.mark(m.turn, "firstToken", m.at)),
    bus.on(topics.ttsStatus, (m) => {
      if (m.data.wake_ack) return;
      if (m.data.event === "speaking_start") turns.mark(m.turn, "firstSound", m.at);
      if (m.data.event === "speaking_end" || m.data.event === "stopped") turns.mark(m.turn, "silence", m.at);
    }),
  ];
}
