import axe from "axe-core";
import type { Browser } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { launch, online, open, phone, Robot, shot, why } from "./harness";

describe.skipIf(why !== "")("health", () => {
  let robot: Robot;
  let browser: Browser;

  beforeAll(async () => {
    robot = new Robot({ "router.announce": "false", services: "memory,llm,router,camera,movement,tools,tts" }); // this machine has no microphone
    await robot.start();
    browser = await launch();
  });
  afterAll(async () => {
    await browser?.close();
    await robot?.end();
  });

  test("the verdict and the table are true: all up, one that is lost, and nothing that is heard", async () => {
    const { page, context, problems } = await open(browser, robot);
    await online(page);
    await page.getByRole("link", { name: "Health" }).click();
    const verdict = page.getByTestId("verdict");
    await expect.poll(() => verdict.getAttribute("data-level")).toBe("ok");
    for (const name of ["tts", "router", "llm", "memory", "movement", "camera"]) {
      const row = page.locator(`[data-peer="${name}"]`);
      expect(await row.getAttribute("data-up"), name).toBe("true");
      expect(await row.textContent()).toContain("ready");
    }
    expect(await page.getByTestId("clients").textContent()).toContain("page-");

    // A device comes, says that it is well, and is lost.
    const device = await robot.peer();
    await device.publishAsync("system/health/porch-mic", JSON.stringify({ ok: true, event: "ready" }), { qos: 1, retain: true });
    const porch = page.locator('[data-peer="porch-mic"]');
    await expect.poll(() => porch.getAttribute("data-up")).toBe("true");
    device.stream.destroy();
    device.end(true);
    await expect.poll(() => porch.getAttribute("data-up"), { timeout: 10_000 }).toBe("false");
    expect(await porch.textContent()).toContain("disconnected");
    await expect.poll(() => verdict.textContent()).toContain("not up: porch-mic");
    await page.locator(".uplot canvas").waitFor();
    await shot(page, "health-desk");
    expect(problems).toEqual([]);

    await robot.stop();
    await expect.poll(() => verdict.getAttribute("data-level"), { timeout: 15_000 }).toBe("bad");
    expect(await verdict.textContent()).toContain("Nothing new is known");
    await robot.start();
    await expect.poll(() => verdict.getAttribute("data-level"), { timeout: 15_000 }).not.toBe("bad");
    await context.close();
  });

  test("axe knows no faults of it, also on a phone in the dark", async () => {
    for (const o of [{}, { viewport: phone, colorScheme: "dark" as const }]) {
      const { page, context } = await open(browser, robot, o);
      await online(page);
      await page.goto(`http://${robot.http}/#health`);
      await page.getByTestId("peers").waitFor();
      await page.evaluate(axe.source);
      const faults = await page.evaluate(async () => (await (window as unknown as { axe: typeof axe }).axe.run()).violations.map((v) => `${v.id}: ${v.nodes.map((n) => n.target).join(" ")}`));
      expect(faults).toEqual([]);
      if ("viewport" in o) await shot(page, "health-phone-dark");
      await context.close();
    }
  });
});
