import type { Browser } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { launch, Model, online, open, Robot, shot, speech, why } from "./harness";

describe.skipIf(why !== "")("voice", () => {
  const model = new Model();
  let robot: Robot;
  let browser: Browser;

  beforeAll(async () => {
    await model.start();
    model.transcript = "Are you still there?";
    robot = new Robot({
      "llm.provider": "openai", "llm.url": model.url, "llm.model": "slow", "router.announce": "false", "router.ack.enabled": "false",
      "stt.engines": "openai", "stt.openai.url": model.url, "ears.microphone": "none",
    });
    await robot.start();
    browser = await launch(await speech(robot, "Are you still there? I can not see you."));
  });
  afterAll(async () => {
    await browser?.close();
    await robot?.end();
    model.stop();
  });

  test("a spoken question goes through the browser's microphone and comes back as sound", async () => {
    model.words = ["I ", "am ", "always ", "here."];
    const { page, context, problems } = await open(browser, robot);
    await online(page);
    await page.getByTestId("push").hover();
    await page.mouse.down();
    await expect.poll(() => page.getByTestId("state").getAttribute("data-state")).toBe("listening");
    await new Promise((r) => setTimeout(r, 4000)); // as long as it takes to say it
    await page.mouse.up();
    const mine = page.locator('[data-testid="entry"][data-who="user"]');
    await expect.poll(() => mine.first().textContent(), { timeout: 10_000 }).toContain("Are you still there?");
    expect(await mine.first().textContent()).toContain("You"); // it came from this very page
    await expect.poll(() => page.locator('[data-who="robot"]').first().textContent()).toContain("I am always here.");
    await expect.poll(async () => Number(await page.getByTestId("play-here").getAttribute("data-samples")), { timeout: 10_000 }).toBeGreaterThan(5000);
    // What the recogniser got is the speech: a WAV of a second or more, and loud.
    const wav = model.sound.subarray(model.sound.indexOf("RIFF"));
    expect(wav.length).toBeGreaterThan(32_000);
    let loud = 0;
    for (let i = 44; i + 1 < 32_000; i += 2) loud = Math.max(loud, Math.abs(wav.readInt16LE(i)));
    expect(loud).toBeGreaterThan(1000);
    const turn = page.getByTestId("turn");
    for (const step of ["speechEnd", "transcript", "firstToken", "firstSound"]) await expect.poll(() => turn.locator(`[data-step="${step}"]`).count()).toBe(1);
    await shot(page, "voice-desk");
    expect(problems).toEqual([]);
    await context.close();
  }, 60_000);
});
