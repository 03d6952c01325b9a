import axe from "axe-core";
import type { Browser } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { launch, online, open, Robot, shot, why } from "./harness";

describe.skipIf(why !== "")("sign-in", () => {
  let robot: Robot;
  let browser: Browser;

  beforeAll(async () => {
    robot = new Robot({ "access.anonymous": "false", "router.announce": "false" });
    await robot.start();
    robot.user("anna", "page", "anna's secret");
    robot.user("victor", "viewer", "victor's secret");
    browser = await launch();
  });
  afterAll(async () => {
    await browser?.close();
    await robot?.end();
  });

  async function enter(user: string, password: string) {
    const o = await open(browser, robot);
    await o.page.getByLabel("User").fill(user);
    await o.page.getByLabel("Password").fill(password);
    await o.page.getByRole("button", { name: "Sign in" }).click();
    return o;
  }

  test("a wrong password is refused in words, the right one lets in, and a reload does not ask again", async () => {
    const { page, context } = await enter("anna", "wrong");
    await page.getByText("Wrong user or password.").waitFor();
    await page.evaluate(axe.source);
    const faults = await page.evaluate(async () => (await (window as unknown as { axe: typeof axe }).axe.run()).violations.map((v) => v.id));
    expect(faults).toEqual([]);
    await shot(page, "signin-desk");
    await page.getByLabel("Password").fill("anna's secret");
    await page.keyboard.press("Enter");
    await online(page);
    await page.getByTitle("Signed in as anna").waitFor();
    const cookie = (await context.cookies()).find((c) => c.name === "tarsd_session")!;
    expect([cookie.httpOnly, cookie.sameSite]).toEqual([true, "Strict"]);
    expect(await page.evaluate(() => JSON.stringify([document.cookie, { ...localStorage }, { ...sessionStorage }]))).not.toContain("secret");
    await page.reload();
    await online(page);
    // What the role may, it can.
    await page.getByPlaceholder("Say something to TARS").fill("hello");
    await page.keyboard.press("Enter");
    await page.locator('[data-who="robot"]').first().waitFor();
    const tab = await context.newPage();
    await tab.goto(`http://${robot.http}/`);
    await online(tab);
    // Without the robot nobody is signed out, and the page goes on trying.
    await page.route("**/api/v1/session", (r) => (r.request().method() === "DELETE" ? r.abort() : r.continue()));
    await page.getByRole("button", { name: "Sign out" }).click();
    await page.getByRole("alert").waitFor();
    await online(page);
    await page.unroute("**/api/v1/session");
    await page.getByRole("button", { name: "Sign out" }).click();
    await page.getByRole("button", { name: "Sign in" }).waitFor();
    await tab.getByRole("button", { name: "Sign in" }).waitFor(); // its connection has ended, too
    await tab.close();
    await page.reload();
    await page.getByRole("button", { name: "Sign in" }).waitFor();
    await context.close();
  });

  test("a viewer sees everything and has no controls", async () => {
    const { page, context, problems } = await enter("victor", "victor's secret");
    await online(page);
    const peer = await robot.peer({ username: "anna", password: "anna's secret" });
    await peer.publishAsync("dialogue/text", JSON.stringify({ text: "Anna was here" }), { qos: 1 });
    await expect.poll(() => page.locator('[data-who="user"] p').last().textContent()).toContain("Anna was here");
    for (const name of ["Stop", "Send", "Hold to talk", "Hands-free", "Answers here"]) expect(await page.getByRole("button", { name }).count(), name).toBe(0);
    await page.goto(`http://${robot.http}/#robot`);
    await page.getByTestId("body").waitFor();
    for (const text of ["wave", "By hand", "Calibration"]) expect(await page.getByText(text, { exact: true }).count(), text).toBe(0);
    await peer.endAsync();
    expect(problems.filter((p) => !p.includes("401"))).toEqual([]); // the first question who we are
    await context.close();
  });

  test("a user whose password changes is signed out everywhere at once", async () => {
    const { page, context } = await enter("victor", "victor's secret");
    await online(page);
    robot.user("victor", "viewer", "another secret");
    await page.getByRole("button", { name: "Sign in" }).waitFor();
    await context.close();
  });
});
