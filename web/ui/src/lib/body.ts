// Where the robot's limbs are, as services/movement/sim computes it, for the drawing.
import { jointNames, type Joint, type JointInfo, type Joints } from "./contract.gen";

/** Lengths in mm, as in the simulator. */
export const lengths = { leg: 150, upper: 70, forearm: 60 };

/** Point is in mm from the joint that the limb hangs on: x forward, z up. */
export interface Point {
  x: number;
  z: number;
}

export interface Pose {
  /** angle of each joint from rest in degrees */
  degrees: Record<Joint, number>;
  /** joints without a pulse: they are limp */
  off: Joint[];
  /** height of the body over its height at rest, mm */
  lift: number;
}

const lever = 40; // mm, of the height servo

/** pose reads movement/joints; where it has no angles they are made from pulses. Null: nothing is known. */
export function pose(joints: Joints | null, info: JointInfo[] | null | undefined): Pose | null {
  if (!joints || !Array.isArray(joints.ticks)) return null;
  const degrees = {} as Record<Joint, number>;
  const off: Joint[] = [];
  jointNames.forEach((name, i) => {
    const tick = joints.ticks[i] ?? 0;
    if (tick === 0) off.push(name);
    const servo = info?.find((j) => j.name === name);
    const given = joints.degrees?.[i];
    degrees[name] = finite(given) ?? (tick && servo ? (tick - servo.rest) * (servo.degrees ?? 0) : 0);
  });
  return { degrees, off, lift: finite(joints.lift_mm) ?? lever * Math.sin(rad(degrees.height)) };
}

function finite(v: unknown): number | null {
  return typeof v === "number" && Number.isFinite(v) ? v : null;
}

const rad = (degrees: number): number => (degrees * Math.PI) / 180;

/** hang is the end of a limb of a length that hangs at an angle. */
export function hang(from: Point, length: number, degrees: number): Point {
  return { x: from.x + length * Math.sin(rad(degrees)), z: from.z - length * Math.cos(rad(degrees)) };
}

/** arm is elbow and hand of an arm. */
export function arm(main: number, forearm: number): { elbow: Point; hand: Point } {
  const elbow = hang({ x: 0, z: 0 }, lengths.upper, main);
  return { elbow, hand: hang(elbow, lengths.forearm, main + forearm) };
}

/** percent is where a pulse is on the way of a joint, 1 to 100. */
export function percent(tick: number, j: JointInfo): number {
  if (j.high === j.low || tick === 0) return 50;
  return Math.max(1, Math.min(100, Math.round(1 + (99 * (tick - j.low)) / (j.high - j.low))));
}
