import axe from "axe-core";
import type { Browser } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { launch, Model, online, open, phone, Robot, shot, why } from "./harness";

if (why) console.log(`skipped: ${why}`);

describe.skipIf(why !== "")("talk", () => {
  const model = new Model();
  let robot: Robot;
  let browser: Browser;

  beforeAll(async () => {
    await model.start();
    robot = new Robot({ "llm.provider": "openai", "llm.url": model.url, "llm.model": "slow", "router.announce": "false" });
    await robot.start();
    browser = await launch();
  });
  afterAll(async () => {
    await browser?.close();
    await robot?.end();
    model.stop();
  });

  test("a typed question is answered while the answer is written, with its timeline and sound", async () => {
    model.pause = 150;
    model.words = ["I ", "have ", "a ", "cue ", "light ", "I ", "can ", "show ", "you ", "when ", "I ", "am ", "joking, ", "if ", "you ", "like."];
    const { page, context, problems } = await open(browser, robot);
    await online(page);
    await page.getByPlaceholder("Say something to TARS").fill("Are you joking?");
    await page.keyboard.press("Enter");
    const mine = page.locator('[data-testid="entry"][data-who="user"]');
    await expect.poll(() => mine.textContent()).toContain("Are you joking?");
    const answer = page.locator('[data-testid="entry"][data-who="robot"]');
    // While it is written: some words are there, the last is not.
    await answer.filter({ hasText: "I have a" }).waitFor();
    expect(await answer.textContent()).not.toContain("if you like.");
    expect(await answer.getAttribute("data-state")).toBe("open");
    await expect.poll(() => answer.textContent()).toContain("I have a cue light I can show you when I am joking, if you like.");
    await expect.poll(() => answer.getAttribute("data-state")).toBe("done");
    // Its sound is played here, and goes on while one looks at another panel.
    const samples = async (): Promise<number> => Number(await page.getByTestId("play-here").getAttribute("data-samples"));
    await expect.poll(samples, { timeout: 10_000 }).toBeGreaterThan(8000);
    await expect.poll(() => page.getByTestId("state").getAttribute("data-state"), { timeout: 15_000 }).toBe("speaking");
    await shot(page, "talk-desk");
    const heard = await samples();
    await page.getByRole("link", { name: "Robot" }).click();
    await page.getByTestId("body").waitFor();
    await page.getByRole("link", { name: "Talk" }).click();
    await expect.poll(samples).toBeGreaterThan(heard + 4000);
    const turn = page.getByTestId("turn");
    for (const step of ["firstToken", "firstSound", "silence"]) {
      await expect.poll(() => turn.locator(`[data-step="${step}"]`).count(), { timeout: 15_000 }).toBe(1);
    }
    expect(problems).toEqual([]);
    await context.close();
  });

  test("Esc stops speech and thought at once, and motion until it is let go", async () => {
    model.pause = 40;
    model.words = Array.from({ length: 200 }, (_, i) => (i % 10 === 9 ? `word ${i}. ` : `word ${i} `));
    const { page, context } = await open(browser, robot);
    await online(page);
    await page.getByPlaceholder("Say something to TARS").fill("Tell me something long.");
    await page.keyboard.press("Enter");
    await expect.poll(() => page.getByTestId("state").getAttribute("data-state"), { timeout: 15_000 }).toBe("speaking");
    const peer = await robot.peer();
    const told: string[] = [];
    peer.on("message", (topic, payload) => payload.includes('"stop button"') && told.push(topic));
    await peer.subscribeAsync(["movement/stop", "tts/control"], { qos: 1 });
    await page.keyboard.press("Escape");
    await expect.poll(() => told.toSorted()).toEqual(["movement/stop", "tts/control"]);
    await peer.endAsync();
    await page.getByTestId("stopped").waitFor();
    await expect.poll(() => page.getByTestId("state").getAttribute("data-state")).not.toBe("speaking");
    const answer = page.locator('[data-testid="entry"][data-who="robot"]').last();
    const length = (await answer.locator("p").first().textContent())!.length;
    await new Promise((r) => setTimeout(r, 500));
    expect((await answer.locator("p").first().textContent())!.length).toBe(length);
    await shot(page, "stopped-desk");
    await page.getByRole("button", { name: "Let it move again" }).click();
    await page.getByTestId("stopped").waitFor({ state: "detached" });
    await context.close();
  });

  test("push to talk wakes the robot and sends the microphone in pieces of 20 ms; hands-free goes on", async () => {
    const { page, context, problems } = await open(browser, robot);
    await online(page);
    const id = await page.evaluate(() => sessionStorage.getItem("id")!);
    const peer = await robot.peer();
    const chunks: { bytes: number; rate: string; loud: number }[] = [];
    const wakes: { type: string; origin: string }[] = [];
    const mutes: unknown[] = [];
    peer.on("message", (topic, payload, packet) => {
      const user = packet.properties?.userProperties as Record<string, string> | undefined;
      if (topic === "wake/event") wakes.push({ type: JSON.parse(payload.toString()).data.type, origin: user?.origin ?? "" });
      else if (topic === "wake/mic") mutes.push(JSON.parse(payload.toString()).data);
      else chunks.push({ bytes: payload.length, rate: user?.rate ?? "", loud: Math.max(0, ...Array.from({ length: payload.length / 2 }, (_, i) => Math.abs(payload.readInt16LE(2 * i)))) });
    });
    await peer.subscribeAsync({ [`audio/in/${id}`]: { qos: 0 }, "wake/event": { qos: 1 }, "wake/mic": { qos: 1 } });
    const button = page.getByTestId("push");
    await expect.poll(() => page.getByTestId("state").getAttribute("data-state"), { timeout: 15_000 }).not.toBe("speaking");
    await button.hover();
    await page.mouse.down();
    await expect.poll(() => chunks.filter((c) => c.loud > 300).length, { timeout: 10_000 }).toBeGreaterThan(20);
    expect(wakes).toEqual([{ type: "wake", origin: id }]);
    await page.mouse.up();
    await expect.poll(() => button.getAttribute("data-mode")).toBe("off");
    // A little silence follows, the word that this was all, and nothing more.
    await expect.poll(() => mutes, { timeout: 5000 }).toEqual([{ action: "mute", reason: "push_to_talk", ttl_ms: 1000 }]);
    expect(chunks.slice(-8).every((c) => c.loud === 0)).toBe(true);
    const sizes = new Set(chunks.filter((c) => c.bytes > 0).map((c) => `${c.bytes} at ${c.rate}`));
    expect([...sizes]).toEqual(["640 at 16000"]);
    const before = chunks.length;
    await page.getByTestId("hands-free").click();
    const t0 = performance.now();
    await expect.poll(() => chunks.length - before, { timeout: 10_000 }).toBeGreaterThan(100);
    const perSecond = (chunks.length - before) / ((performance.now() - t0) / 1000);
    expect(perSecond).toBeLessThan(70);
    // On other panels one sees that it is on, and can end it.
    await page.getByRole("link", { name: "Robot" }).click();
    await page.getByTestId("body").waitFor();
    const then = chunks.length;
    await expect.poll(() => chunks.length - then).toBeGreaterThan(20);
    await page.getByTestId("mic").click();
    await page.getByTestId("mic").waitFor({ state: "detached" });
    await new Promise((r) => setTimeout(r, 200));
    const end = chunks.length;
    await new Promise((r) => setTimeout(r, 300));
    expect(chunks.length).toBe(end);
    await peer.endAsync();
    expect(problems).toEqual([]);
    await context.close();
  });

  test("text from the bus is shown as text", async () => {
    const { page, context, problems } = await open(browser, robot);
    await online(page);
    const peer = await robot.peer();
    const evil = '<img src=x onerror="document.title=1"><script>document.title=2</script>';
    await peer.publishAsync("stt/final", JSON.stringify({ text: evil, utt_id: "x" }), { qos: 1, properties: { userProperties: { origin: evil, turn: evil } } });
    await expect.poll(() => page.locator('[data-who="user"] p').last().textContent()).toBe(evil);
    await peer.publishAsync("stt/partial", JSON.stringify({ text: evil }));
    await expect.poll(() => page.getByTestId("partial").textContent()).toContain("<script>");
    expect(await page.title()).toBe("TARS");
    // What cannot even be made text of is left out, and the next message is heard.
    await peer.publishAsync("dialogue/text", JSON.stringify({ text: { toString: 1, valueOf: 1 } }), { qos: 1 });
    await peer.publishAsync("dialogue/text", JSON.stringify({ text: "Still there?" }), { qos: 1 });
    await expect.poll(() => page.locator('[data-who="user"] p').last().textContent()).toBe("Still there?");
    await peer.endAsync();
    expect(problems).toEqual([]);
    await context.close();
  });

  test("it finds the robot again after a restart, and says what was not sent", async () => {
    const { page, context } = await open(browser, robot, { viewport: phone });
    await online(page);
    await robot.stop();
    await page.getByTestId("offline").waitFor();
    await shot(page, "offline-phone");
    expect(await page.getByRole("button", { name: "Send" }).isDisabled()).toBe(true);
    await page.getByPlaceholder("Say something to TARS").fill("Lost words");
    await page.keyboard.press("Enter"); // the button is off, and so is its key
    await robot.start();
    await online(page);
    model.words = ["Here ", "again."];
    await page.getByPlaceholder("Say something to TARS").fill("Are you there?");
    await page.keyboard.press("Enter");
    await expect.poll(() => page.locator('[data-who="robot"] p').last().textContent(), { timeout: 10_000 }).toContain("Here again.");
    await shot(page, "talk-phone");
    await context.close();
  });

  test("the panel is usable without a mouse and has no faults that axe knows", async () => {
    const { page, context } = await open(browser, robot);
    await online(page);
    await page.evaluate(axe.source);
    const faults = await page.evaluate(async () => (await (window as unknown as { axe: typeof axe }).axe.run()).violations.map((v) => `${v.id}: ${v.nodes.map((n) => n.target).join(" ")}`));
    expect(faults).toEqual([]);
    await page.keyboard.press("Tab");
    expect(await page.evaluate(() => document.activeElement?.textContent)).toContain("Skip");
    await context.close();
  });
});
