import { expect, test } from "vitest";
import { arm, hang, percent, pose } from "./body";
import { jointNames, type JointInfo } from "./contract.gen";

const servo = (name: string, rest: number, degrees: number): JointInfo => ({ name, channel: 0, min: 0, max: 4095, rest, low: rest - 100, high: rest + 100, degrees });

test("limbs hang straight down at rest and swing forward", () => {
  expect(hang({ x: 0, z: 0 }, 150, 0)).toEqual({ x: 0, z: -150 });
  const forward = hang({ x: 0, z: 0 }, 150, 90);
  expect(forward.x).toBeCloseTo(150);
  expect(forward.z).toBeCloseTo(0);
  const { elbow, hand } = arm(90, 90);
  expect([elbow.x, elbow.z]).toEqual([expect.closeTo(70), expect.closeTo(0)]);
  expect([hand.x, hand.z]).toEqual([expect.closeTo(70), expect.closeTo(60)]);
});

test("angles are taken as they come, or made of pulses", () => {
  const ticks = jointNames.map((_, i) => (i === 8 ? 0 : 300));
  const given = pose({ ticks, degrees: [10, -5], lift_mm: 7 }, null)!;
  expect([given.degrees.height, given.degrees.left_leg, given.degrees.star_hand, given.lift]).toEqual([10, -5, 0, 7]);
  expect(given.off).toEqual(["star_hand"]);
  const made = pose({ ticks }, [servo("height", 200, 0.3), servo("left_leg", 400, 0.5)])!;
  expect(made.degrees.height).toBeCloseTo(30);
  expect(made.degrees.left_leg).toBeCloseTo(-50);
  expect(made.lift).toBeCloseTo(20);
});

test("nothing is known of what does not say", () => {
  expect(pose(null, null)).toBeNull();
  expect(pose({ ticks: 7 as never }, null)).toBeNull();
  expect(pose({ ticks: [] }, null)!.off).toHaveLength(9);
});

test("percent is the way of a joint, in the direction of the contract", () => {
  expect([percent(200, servo("a", 300, 1)), percent(400, servo("a", 300, 1)), percent(300, servo("a", 300, 1))]).toEqual([1, 100, 51]);
  const turned = { ...servo("a", 300, 1), low: 350, high: 220 };
  expect([percent(350, turned), percent(220, turned), percent(10, turned), percent(0, turned)]).toEqual([1, 100, 100, 50]);
  expect(percent(5, { ...turned, low: 1, high: 1 })).toBe(50);
});
