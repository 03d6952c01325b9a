// What the robot says it does now, as last heard.
import type { Bus } from "./bus.svelte";
import { topics, type Dialogue, type Joints, type MotionInfo } from "./contract.gen";

export class Robot {
  dialogue: Dialogue | null = $state(null);
  info: MotionInfo | null = $state(null);
  joints: Joints | null = $state.raw(null);
  /** performance.now() of the last joints */
  jointsAt: number = $state(0);
  /** performance.now() of the last info; retained ones count from when they came here */
  infoAt: number = $state(0);

  listen(bus: Bus): (() => void)[] {
    return [
      bus.on(topics.dialogueState, (m) => (this.dialogue = m.data)),
      bus.on(topics.movementInfo, (m) => {
        this.info = m.data;
        this.infoAt = m.at;
      }),
      bus.on(topics.movementJoints, (m) => {
        this.joints = m.data;
        this.jointsAt = m.at;
      }),
    ];
  }
}
