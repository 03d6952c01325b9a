import axe from "axe-core";
import type { Browser } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { desk, launch, online, open, phone, Robot, shot, why } from "./harness";

describe.skipIf(why !== "")("robot", () => {
  let robot: Robot;
  let browser: Browser;

  beforeAll(async () => {
    robot = new Robot({ "router.announce": "false", "camera.source": "test" });
    await robot.start();
    browser = await launch();
  });
  afterAll(async () => {
    await browser?.close();
    await robot?.end();
  });

  test("a command from elsewhere moves the drawing, and the page's own are carried out", async () => {
    const { page, context, problems } = await open(browser, robot);
    await online(page);
    await page.getByRole("link", { name: "Robot" }).click();
    const body = page.getByTestId("body");
    await body.waitFor();
    expect(await body.getAttribute("data-right-leg")).toBe("0");
    const peer = await robot.peer();
    await peer.publishAsync("movement/test", JSON.stringify({ command: "step_forward", speed: 1 }), { qos: 1 });
    await expect.poll(async () => Math.abs(Number(await body.getAttribute("data-right-leg")))).toBeGreaterThan(5);
    expect(await page.getByTestId("motion").getAttribute("data-moving")).toBe("true");
    await expect.poll(() => page.getByTestId("motion").getAttribute("data-moving"), { timeout: 15_000 }).toBe("false");

    await page.getByRole("button", { name: "wave", exact: true }).click();
    await expect.poll(async () => Math.abs(Number(await body.getAttribute("data-port-main"))), { timeout: 10_000 }).toBeGreaterThan(30);
    await shot(page, "robot-desk");
    await page.keyboard.press("Escape");
    await page.getByTestId("stopped").waitFor();
    // The joints of the last moment before it may come after the word of the stop.
    const still = async () => {
      const held = await body.getAttribute("data-port-main");
      await new Promise((r) => setTimeout(r, 400));
      return (await body.getAttribute("data-port-main")) === held;
    };
    expect((await still()) || (await still())).toBe(true);
    expect(await page.getByRole("button", { name: "bow", exact: true }).isDisabled()).toBe(true);
    await page.getByRole("button", { name: "Let it move again" }).click();
    await expect.poll(() => page.getByRole("button", { name: "bow", exact: true }).isEnabled()).toBe(true);
    await expect.poll(() => page.getByTestId("history").textContent()).toContain("cancelled");

    await page.getByRole("button", { name: "Sequence" }).click();
    await page.getByRole("button", { name: "bow", exact: true }).click();
    await page.getByRole("button", { name: "reset", exact: true }).click();
    await page.getByRole("button", { name: "Run" }).click();
    await expect.poll(async () => (await page.getByTestId("history").locator("li").allTextContents()).slice(0, 2).map((s) => s.includes("completed")), { timeout: 20_000 }).toEqual([true, true]);
    await peer.endAsync();
    expect(problems).toEqual([]);
    await context.close();
  });

  test("a joint moves by hand for as long as the button is held", async () => {
    const { page, context } = await open(browser, robot);
    await online(page);
    await page.goto(`http://${robot.http}/#robot`);
    await page.getByText("By hand").click();
    const manual: { joints: Record<string, number>; release?: boolean }[] = [];
    const peer = await robot.peer();
    peer.on("message", (_, payload) => manual.push(JSON.parse(payload.toString()).data));
    await peer.subscribeAsync("movement/manual");
    expect(await page.getByTestId("hold").isDisabled()).toBe(true); // nothing is set yet
    await page.getByLabel("port main").fill("100");
    await page.getByTestId("hold").hover();
    await page.mouse.down();
    const body = page.getByTestId("body");
    await expect.poll(async () => Number(await body.getAttribute("data-port-main"))).toBeGreaterThan(10);
    await page.mouse.up();
    await expect.poll(() => manual.at(-1)?.release).toBe(true);
    const n = manual.length;
    await new Promise((r) => setTimeout(r, 500));
    expect(manual.length).toBe(n);
    expect(new Set(manual.slice(0, -1).map((m) => JSON.stringify(m.joints)))).toEqual(new Set(['{"port_main":100}']));
    await peer.endAsync();
    await context.close();
  });

  test("the hold ends when commands are not taken any more, though the button is still held", async () => {
    const { page, context } = await open(browser, robot);
    await online(page);
    await page.goto(`http://${robot.http}/#robot`);
    await page.getByText("By hand").click();
    let manual = 0;
    const peer = await robot.peer();
    peer.on("message", () => manual++);
    await peer.subscribeAsync("movement/manual");
    await page.getByLabel("port main").fill("70");
    // As in Safari, where a button that is pressed has no focus to lose when it is disabled.
    await page.getByTestId("hold").evaluate((b) => b.addEventListener("mousedown", (e) => e.preventDefault()));
    await page.getByTestId("hold").hover();
    await page.mouse.down();
    await expect.poll(() => manual).toBeGreaterThan(2);
    await peer.publishAsync("movement/stop", JSON.stringify({ reason: "elsewhere" }), { qos: 1 });
    await page.getByTestId("stopped").waitFor();
    await expect.poll(() => page.getByTestId("hold").getAttribute("aria-pressed")).toBe("false");
    await page.mouse.up();
    const n = manual;
    await page.getByRole("button", { name: "Let it move again" }).click();
    await page.getByTestId("stopped").waitFor({ state: "detached" });
    await new Promise((r) => setTimeout(r, 500));
    expect(manual).toBe(n);
    await peer.endAsync();
    await context.close();
  });

  test("a message that the panel is not made for leaves the stop button where it is", async () => {
    const { page, context } = await open(browser, robot);
    await online(page);
    await page.goto(`http://${robot.http}/#robot`);
    await page.getByTestId("body").waitFor();
    const peer = await robot.peer();
    const stops: string[] = [];
    peer.on("message", (_, payload) => stops.push(payload.toString()));
    await peer.subscribeAsync("movement/stop");
    await peer.publishAsync("movement/history", JSON.stringify({ type: "movement.history", data: { requests: [null, 7] } }), { qos: 1 });
    await page.getByText("This panel failed").waitFor();
    await page.getByRole("button", { name: "Stop Esc" }).click();
    await expect.poll(() => stops.length).toBe(1);
    await page.getByRole("button", { name: "Let it move again" }).click();
    await page.getByTestId("stopped").waitFor({ state: "detached" });
    await page.getByRole("button", { name: "Show it again" }).click();
    await page.getByTestId("body").waitFor();
    await peer.endAsync();
    await context.close();
  });

  test("a calibration is set within its limits and forgotten again", async () => {
    const { page, context } = await open(browser, robot);
    await online(page);
    await page.goto(`http://${robot.http}/#robot`);
    await page.getByText("Calibration", { exact: true }).click();
    await page.getByRole("button", { name: "port hand" }).click();
    await page.getByLabel("Pulse").fill("255");
    await page.getByRole("button", { name: "Set as rest" }).click();
    const row = page.locator("tr[aria-current] td");
    await expect.poll(() => row.nth(4).textContent()).toBe("255");
    await page.getByRole("button", { name: "Forget the calibration" }).click();
    await page.getByRole("button", { name: "Really?" }).click();
    await expect.poll(() => row.nth(4).textContent()).toBe("240");
    await context.close();
  });

  test("the camera's pictures are shown with their age, and no longer asked for when nobody looks", async () => {
    const { page, context, problems } = await open(browser, robot, { viewport: phone, colorScheme: "dark" });
    await online(page);
    await page.goto(`http://${robot.http}/#robot`);
    const camera = page.getByTestId("camera");
    await expect.poll(async () => Number(await camera.getAttribute("data-number")), { timeout: 10_000 }).toBeGreaterThan(5);
    const colours = await camera.evaluate((c: HTMLCanvasElement) => new Set(c.getContext("2d")!.getImageData(0, 0, c.width, c.height).data.filter((_, i) => i % 4 === 0)).size);
    expect(colours).toBeGreaterThan(4);
    await page.getByText("taken now").waitFor();
    await shot(page, "robot-phone-dark");
    await page.getByRole("button", { name: "Stop looking" }).click();
    const n = await camera.getAttribute("data-number");
    await new Promise((r) => setTimeout(r, 700));
    expect(await camera.getAttribute("data-number")).toBe(n);
    expect(problems).toEqual([]);
    await context.close();
  });

  test("axe knows no faults of it, in light and dark", async () => {
    for (const colorScheme of ["light", "dark"] as const) {
      const { page, context } = await open(browser, robot, { viewport: desk, colorScheme });
      await online(page);
      await page.goto(`http://${robot.http}/#robot`);
      await page.getByText("By hand").click();
      await page.getByText("Calibration", { exact: true }).click();
      await page.evaluate(axe.source);
      const faults = await page.evaluate(async () => (await (window as unknown as { axe: typeof axe }).axe.run()).violations.map((v) => `${v.id}: ${v.nodes.map((n) => n.target).join(" ")}`));
      expect(faults).toEqual([]);
      if (colorScheme === "dark") await shot(page, "robot-desk-dark");
      await context.close();
    }
  });
});
