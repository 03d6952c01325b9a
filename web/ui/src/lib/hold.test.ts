import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { every, Hold } from "./hold";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

test("sends while it is held, ends once, and sends nothing after that", async () => {
  const send = vi.fn(async () => {});
  const end = vi.fn(async () => {});
  const changed = vi.fn();
  const h = new Hold(send, end, changed);
  h.release();
  expect(end).not.toHaveBeenCalled();
  h.grab();
  h.grab();
  expect(send).toHaveBeenCalledTimes(1);
  await vi.advanceTimersByTimeAsync(3 * every);
  expect(send).toHaveBeenCalledTimes(4);
  h.release();
  h.release();
  await vi.advanceTimersByTimeAsync(10 * every);
  expect([send.mock.calls.length, end.mock.calls.length]).toEqual([4, 1]);
  expect(changed.mock.calls).toEqual([[true, null], [false, null]]);
});

test("a message that does not go out lets go", async () => {
  const err = new Error("offline");
  const changed = vi.fn();
  const h = new Hold(async () => Promise.reject(err), async () => {}, changed);
  h.grab();
  await vi.advanceTimersByTimeAsync(every);
  expect(h.held).toBe(false);
  expect(changed).toHaveBeenLastCalledWith(false, err);
});
