import axe from "axe-core";
import { readFileSync } from "node:fs";
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { launch, online, open, phone, Robot, shot, why } from "./harness";

describe.skipIf(why !== "")("bus", () => {
  let robot: Robot;
  let browser: Browser;

  beforeAll(async () => {
    robot = new Robot({ "router.announce": "false" });
    await robot.start();
    browser = await launch();
  });
  afterAll(async () => {
    await browser?.close();
    await robot?.end();
  });

  const item = (page: Page, topic: string) => page.locator(`[data-topic="${topic}"]`);
  async function jump(page: Page, topic: string): Promise<void> {
    await page.getByPlaceholder("Jump to").fill(topic);
    await page.keyboard.press("Enter");
    await page.getByRole("heading", { name: topic, exact: true }).waitFor();
  }

  test("topics are shown with their values, changes, charts, and what is wrong with them", async () => {
    const { page, context, problems } = await open(browser, robot);
    await online(page);
    await page.getByRole("link", { name: "Bus" }).click();
    await item(page, "system").waitFor();
    const peer = await robot.peer();
    for (const v of [20, 21, 22]) await peer.publishAsync("sensor/kitchen", JSON.stringify({ temperature: v, unit: "C" }), { qos: 1, retain: true });
    await item(page, "sensor").click();
    await item(page, "sensor/kitchen").click();
    const view = page.getByTestId("view");
    await expect.poll(() => view.textContent()).toContain('"temperature": 22');
    await page.getByRole("tab", { name: "Change" }).click();
    await expect.poll(() => view.textContent()).toContain('-   "temperature": 21');
    await page.getByRole("tab", { name: "Bytes" }).click();
    await expect.poll(() => view.textContent()).toContain("7b 22 74");
    await page.getByRole("tab", { name: "Chart" }).click();
    await view.locator(".uplot canvas").waitFor();
    await shot(page, "bus-desk");
    expect(await item(page, "sensor/kitchen").textContent()).toContain("R");

    await peer.publishAsync("dialogue/text", JSON.stringify({ text: "hi", colour: 1 }), { qos: 1 });
    await jump(page, "dialogue/text");
    expect(await page.getByTestId("wrong").textContent()).toContain("colour: unknown key");
    await page.getByRole("tab", { name: "Value" }).click();
    await peer.publishAsync("evil/<img src=x onerror=alert(1)>", "<script>document.title=1</script>", { qos: 1 });
    await jump(page, "evil/<img src=x onerror=alert(1)>");
    expect((await view.textContent())!.trim()).toBe("<script>document.title=1</script>");
    expect(await page.title()).toBe("TARS");

    // Pause keeps the picture and goes on counting.
    await page.getByRole("button", { name: "Pause" }).click();
    const total = await page.getByTestId("figures").getAttribute("data-total");
    for (let i = 0; i < 5; i++) await peer.publishAsync("sensor/kitchen", "{}", { qos: 1 });
    await expect.poll(() => page.getByTestId("figures").textContent()).toMatch(/paused; ([5-9]|\d\d+) more/);
    expect(await page.getByTestId("figures").getAttribute("data-total")).toBe(total);
    await page.getByRole("button", { name: "Pause" }).click();

    await page.getByPlaceholder("Show only").fill("sensor/k");
    await expect.poll(() => page.locator(".item").allTextContents().then((a) => a.length)).toBe(2);
    const [download] = await Promise.all([page.waitForEvent("download"), page.getByRole("button", { name: "JSON lines" }).click()]);
    const lines = readFileSync(await download.path(), "utf8").trim().split("\n").map((l) => JSON.parse(l));
    expect(lines[0]).toMatchObject({ topic: "sensor/kitchen", payload: '{"temperature":20,"unit":"C"}' });
    expect(lines).toHaveLength(8);
    await peer.endAsync();
    expect(problems).toEqual([]);
    await context.close();
  });

  test("a sample is published, and retained messages are cleared behind their number", async () => {
    const { page, context } = await open(browser, robot);
    await online(page);
    await page.goto(`http://${robot.http}/#bus`);
    const peer = await robot.peer();
    const got: string[] = [];
    peer.on("message", (_, payload) => got.push(payload.toString()));
    await peer.subscribeAsync("tts/say", { qos: 1 });
    await page.getByRole("button", { name: "Publish…" }).click();
    await page.getByLabel("Sample").selectOption("tts/say");
    const text = page.getByLabel("Payload", { exact: true });
    await text.fill((await text.inputValue()).replace("It is a quarter past three.", "From the form."));
    await page.getByRole("button", { name: "Send" }).click();
    await expect.poll(() => got.join()).toContain("From the form.");
    await text.fill('{"texte":1}');
    await page.getByText("Against the contract: text: missing").waitFor();

    for (const n of [1, 2, 3]) await peer.publishAsync(`old/${n}`, "x", { qos: 1, retain: true });
    await peer.publishAsync("keep", "x", { qos: 1, retain: true });
    await page.getByPlaceholder("Show only").fill("old/");
    await page.getByRole("button", { name: "Clear retained…" }).click();
    await page.getByText("3 retained messages have").waitFor();
    const clear = page.getByRole("button", { name: "Clear them" });
    expect(await clear.isDisabled()).toBe(true);
    await page.getByLabel("3 retained messages").fill("3");
    await clear.click();
    await page.getByText("3 cleared").waitFor();
    const left: string[] = [];
    const other = await robot.peer();
    other.on("message", (topic) => left.push(topic));
    await other.subscribeAsync(["old/#", "keep"], { qos: 1 });
    await expect.poll(() => left).toEqual(["keep"]);
    await other.endAsync();
    await peer.endAsync();
    await context.close();
  });

  test("it stays fluid at 5,000 messages a second", async () => {
    const { page, context } = await open(browser, robot);
    await online(page);
    await page.goto(`http://${robot.http}/#bus`);
    await item(page, "system").waitFor();
    const peer = await robot.peer();
    const payload = Buffer.from(JSON.stringify({ n: 1, text: "x".repeat(100) }));
    const seconds = 5;
    let sent = 0;
    const before = Number(await page.getByTestId("figures").getAttribute("data-total"));
    const frames = page.evaluate((ms) => new Promise<{ frames: number; worst: number }>((ok) => {
      let frames = 0;
      let worst = 0;
      let last = performance.now();
      const end = last + ms;
      const step = (now: number): void => {
        frames++;
        worst = Math.max(worst, now - last);
        last = now;
        if (now < end) requestAnimationFrame(step);
        else ok({ frames, worst });
      };
      requestAnimationFrame(step);
    }), seconds * 1000);
    const t0 = performance.now();
    while (performance.now() - t0 < seconds * 1000) {
      const due = Math.floor((performance.now() - t0) * 5);
      for (; sent < due; sent++) peer.publish(`load/${sent % 200}`, payload);
      await new Promise((r) => setTimeout(r, 10));
    }
    const { frames: n, worst } = await frames;
    await expect.poll(async () => Number(await page.getByTestId("figures").getAttribute("data-total")) - before, { timeout: 15_000 }).toBeGreaterThanOrEqual(sent);
    const heap = await page.evaluate(() => (performance as unknown as { memory: { usedJSHeapSize: number } }).memory.usedJSHeapSize / 1048576);
    console.log(`bus view at ${Math.round(sent / seconds)} messages/s: ${(n / seconds).toFixed(1)} frames/s, longest ${worst.toFixed(0)} ms, heap ${heap.toFixed(0)} MiB`);
    // A shared machine without a graphics card draws what it can; a view that hangs has far less.
    expect(n / seconds).toBeGreaterThan(5);
    expect(heap).toBeLessThan(250);
    await shot(page, "bus-load-desk");
    await peer.endAsync();
    await context.close();
  });

  test("axe knows no faults of it, also on a phone", async () => {
    for (const o of [{}, { viewport: phone }]) {
      const { page, context } = await open(browser, robot, o);
      await online(page);
      await page.goto(`http://${robot.http}/#bus`);
      await item(page, "system").waitFor();
      await jump(page, "movement/info");
      await page.evaluate(axe.source);
      const faults = await page.evaluate(async () => (await (window as unknown as { axe: typeof axe }).axe.run()).violations.map((v) => `${v.id}: ${v.nodes.map((n) => n.target).join(" ")}`));
      expect(faults).toEqual([]);
      if ("viewport" in o) await shot(page, "bus-phone");
      await context.close();
    }
  });
});
