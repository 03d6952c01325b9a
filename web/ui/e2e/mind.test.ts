import axe from "axe-core";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Browser } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { launch, Model, online, open, phone, Robot, shot, why } from "./harness";

describe.skipIf(why !== "")("mind", () => {
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

  test("memories are added, found by meaning, exported, forgotten, and imported again", async () => {
    const { page, context, problems } = await open(browser, robot);
    await online(page);
    await page.getByRole("link", { name: "Mind" }).click();
    const list = page.getByTestId("memories");
    for (const text of ["My brother lives in London.", "The cat is called Cooper."]) {
      await page.getByPlaceholder("Something to remember").fill(text);
      await page.getByRole("button", { name: "Remember" }).click();
      await expect.poll(() => list.textContent()).toContain(text);
    }
    await page.getByPlaceholder("Search as the robot would").fill("London");
    await page.keyboard.press("Enter");
    await page.getByText("found for “London”").waitFor();
    expect(await list.locator("li").first().textContent()).toContain("My brother lives in London.");
    const [download] = await Promise.all([page.waitForEvent("download"), page.getByRole("button", { name: "Export" }).click()]);
    const lines = readFileSync(await download.path(), "utf8").trim().split("\n");
    expect(lines.map((l) => JSON.parse(l).text)).toEqual(["My brother lives in London.", "The cat is called Cooper."]);

    await list.locator("li").first().getByRole("button", { name: "Forget" }).click();
    await page.getByRole("button", { name: "Really?" }).click();
    await page.getByText("1 forgotten.").waitFor();
    await expect.poll(() => list.textContent()).not.toContain("London");
    const file = join(robot.dir, "memories.jsonl");
    writeFileSync(file, lines.join("\n"));
    await page.getByLabel("Import a file").setInputFiles(file);
    await page.getByText("1 imported, 1 were there already.").waitFor();
    writeFileSync(file, "junk");
    await page.getByLabel("Import a file").setInputFiles(file);
    await page.getByText("line 1: no JSON").waitFor();
    await shot(page, "mind-desk");
    expect(problems).toEqual([]);
    await context.close();
  });

  test("traits are set and go back to the file, the model is tested, calls of tools are shown", async () => {
    const { page, context, problems } = await open(browser, robot);
    await online(page);
    await page.goto(`http://${robot.http}/#mind`);
    const traits = page.getByTestId("traits");
    await traits.waitFor();
    const humor = page.getByLabel("humor", { exact: true });
    const before = await humor.inputValue();
    await humor.fill("33");
    await expect.poll(() => traits.textContent()).toContain("33");
    await page.getByRole("button", { name: "Back to the file" }).click();
    await page.getByRole("button", { name: "Really?" }).click();
    await expect.poll(() => humor.inputValue()).toBe(before);

    model.words = ["ready"];
    await page.getByRole("button", { name: "Test it" }).click();
    await expect.poll(() => page.getByTestId("model-test").textContent()).toContain("“ready”");
    // The test is neither conversation nor memory.
    await expect.poll(async () => {
      await page.getByRole("button", { name: "Search" }).click();
      await page.getByText(/^The latest \d/).waitFor();
      return page.getByTestId("memories").textContent();
    }).not.toContain("ready");
    await page.getByRole("link", { name: "Talk" }).click();
    expect(await page.getByTestId("entry").count()).toBe(0);
    await page.getByRole("link", { name: "Mind" }).click();

    const peer = await robot.peer();
    await peer.publishAsync("llm/tool.call.request", JSON.stringify({ call_id: "c1", name: "mcp__garden__water", arguments: { litres: 2 } }), { qos: 1 });
    await expect.poll(() => page.getByTestId("calls").textContent()).toContain('water {"litres":2}');
    await peer.publishAsync("llm/tool.call.result", JSON.stringify({ call_id: "c1", error: "the well is dry" }), { qos: 1 });
    await expect.poll(() => page.getByTestId("calls").textContent()).toContain("the well is dry");
    await peer.endAsync();
    expect(problems).toEqual([]);
    await context.close();
  });

  test("axe knows no faults of it, also on a phone in the dark", async () => {
    for (const o of [{}, { viewport: phone, colorScheme: "dark" as const }]) {
      const { page, context } = await open(browser, robot, o);
      await online(page);
      await page.goto(`http://${robot.http}/#mind`);
      await page.getByTestId("memories").waitFor();
      await page.evaluate(axe.source);
      const faults = await page.evaluate(async () => (await (window as unknown as { axe: typeof axe }).axe.run()).violations.map((v) => `${v.id}: ${v.nodes.map((n) => n.target).join(" ")}`));
      expect(faults).toEqual([]);
      if ("viewport" in o) await shot(page, "mind-phone-dark");
      await context.close();
    }
  });
});
