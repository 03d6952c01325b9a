// A real tarsd, a model's server that writes slowly, and a real browser for the tests of the page.
import { spawn, spawnSync, type ChildProcess } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { createInterface } from "node:readline";
import mqtt, { type MqttClient } from "mqtt";
import { chromium, type Browser, type BrowserContext, type Page } from "playwright-core";

const binary = resolve(import.meta.dirname, "../../../bin/tarsd");
const shots = process.env.PAGE_SHOTS ?? "";

/** browserPath is where Chromium is; empty if there is none. */
export const browserPath = [process.env.CHROMIUM ?? "", "/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"].find((p) => p && existsSync(p)) ?? "";
/** why is the reason not to run; empty if there is none. */
export const why = !browserPath ? "no chromium (package chromium)" : !existsSync(binary) ? "no bin/tarsd (make build)" : "";

export const desk = { width: 1280, height: 800 };
export const phone = { width: 390, height: 844 };

/** clean is the environment without settings of a tarsd. */
const clean = Object.fromEntries(Object.entries(process.env).filter(([k]) => !k.startsWith("TARSD_")));

/** Robot is a running tarsd. */
export class Robot {
  http = "";
  mqtt = "";
  private process: ChildProcess | null = null;
  readonly dir = mkdtempSync(join(tmpdir(), "tarsd-page-"));
  log: string[] = [];

  constructor(private readonly settings: Record<string, string> = {}) {}

  /** start waits until everything is served; a second start takes the ports of the first. */
  async start(): Promise<void> {
    const set = Object.entries(this.settings).flatMap(([k, v]) => ["--set", `${k}=${v}`]);
    const p = spawn(binary, ["run", "--data", this.dir, "--listen", this.mqtt || "tcp://127.0.0.1:0", "--http", this.http || "127.0.0.1:0", ...set], { stdio: ["ignore", "ignore", "pipe"], env: clean });
    this.process = p;
    await new Promise<void>((ok, fail) => {
      p.once("exit", (code) => fail(new Error(`tarsd ended with ${code}:\n${this.log.slice(-20).join("\n")}`)));
      createInterface({ input: p.stderr! }).on("line", (line) => {
        this.log.push(line);
        let e: { message?: string; http?: string; listen?: string[] };
        try {
          e = JSON.parse(line);
        } catch {
          return;
        }
        if (e.message !== "tarsd is ready") return;
        this.http = e.http!;
        this.mqtt = e.listen!.find((l) => l.startsWith("tcp://"))!;
        ok();
      });
    });
    // Services come up behind the listeners.
    for (let i = 0; i < 200; i++) {
      const ready = await fetch(`http://${this.http}/readyz`).then((r) => r.ok, () => false);
      if (ready) return;
      await new Promise((r) => setTimeout(r, 50));
    }
    throw new Error(`not ready:\n${this.log.slice(-20).join("\n")}`);
  }

  /** user makes a user of a role. */
  user(name: string, role: string, password: string): void {
    const r = spawnSync(binary, ["passwd", "--data", this.dir, "--role", role, name], { input: `${password}\n` });
    if (r.status !== 0) throw new Error(`passwd: ${r.stderr}`);
  }

  async stop(): Promise<void> {
    const p = this.process;
    this.process = null;
    if (!p || p.exitCode !== null) return;
    const gone = new Promise((r) => p.once("exit", r));
    p.kill("SIGTERM");
    await gone;
  }

  async end(): Promise<void> {
    await this.stop();
    rmSync(this.dir, { recursive: true, force: true });
  }

  /** peer is another client of the bus. */
  peer(o: { username?: string; password?: string } = {}): Promise<MqttClient> {
    return mqtt.connectAsync(this.mqtt.replace("tcp", "mqtt"), { protocolVersion: 5, ...o });
  }
}

/** Model is a server for the OpenAI interface that answers with the words it is given, one by one. */
export class Model {
  private server: Server;
  url = "";
  words: string[] = ["Hello."];
  pause = 40;
  /** what every recording says, and the latest request with one */
  transcript = "";
  sound: Buffer = Buffer.alloc(0);

  constructor() {
    this.server = createServer(async (req, res) => {
      if (req.url?.endsWith("/audio/transcriptions")) {
        const parts: Buffer[] = [];
        for await (const part of req) parts.push(part as Buffer);
        this.sound = Buffer.concat(parts);
        res.setHeader("Content-Type", "application/json").end(JSON.stringify({ text: this.transcript }));
        return;
      }
      if (req.url?.endsWith("/models")) {
        res.setHeader("Content-Type", "application/json").end(JSON.stringify({ object: "list", data: [{ id: "slow", object: "model" }] }));
        return;
      }
      req.resume();
      res.setHeader("Content-Type", "text/event-stream");
      for (const content of this.words) {
        if (res.destroyed) return;
        res.write(`data: ${JSON.stringify({ id: "1", object: "chat.completion.chunk", model: "slow", choices: [{ index: 0, delta: { content } }] })}\n\n`);
        await new Promise((r) => setTimeout(r, this.pause));
      }
      res.write(`data: ${JSON.stringify({ id: "1", model: "slow", choices: [{ index: 0, delta: {}, finish_reason: "stop" }] })}\n\ndata: [DONE]\n\n`);
      res.end();
    });
  }

  start(): Promise<void> {
    return new Promise((ok) => this.server.listen(0, "127.0.0.1", () => {
      this.url = `http://127.0.0.1:${(this.server.address() as { port: number }).port}/v1`;
      ok();
    }));
  }

  stop(): void {
    this.server.closeAllConnections();
    this.server.close();
  }
}

/** speech has the robot say a text, and gives it as a WAV file. */
export async function speech(robot: Robot, text: string): Promise<string> {
  const peer = await robot.peer();
  const parts: Buffer[] = [];
  let rate = 16000;
  const ended = new Promise<void>((ok) => peer.on("message", (_, payload, packet) => {
    if (payload.length === 0) return ok();
    rate = Number((packet.properties?.userProperties as Record<string, string>).rate);
    parts.push(Buffer.from(payload));
  }));
  await peer.subscribeAsync("audio/out/test");
  await peer.publishAsync("audio/in/test", Buffer.alloc(0));
  await peer.publishAsync("tts/say", JSON.stringify({ text }), { qos: 1, properties: { userProperties: { origin: "test" } } });
  await ended;
  await peer.endAsync();
  // A second of silence on both sides.
  const quiet = Buffer.alloc(2 * rate);
  const pcm = Buffer.concat([quiet, ...parts, quiet]);
  const head = Buffer.alloc(44);
  head.write("RIFF", 0);
  head.writeUInt32LE(36 + pcm.length, 4);
  head.write("WAVEfmt ", 8);
  head.writeUInt32LE(16, 16);
  head.writeUInt16LE(1, 20);
  head.writeUInt16LE(1, 22);
  head.writeUInt32LE(rate, 24);
  head.writeUInt32LE(2 * rate, 28);
  head.writeUInt16LE(2, 32);
  head.writeUInt16LE(16, 34);
  head.write("data", 36);
  head.writeUInt32LE(pcm.length, 40);
  const file = join(robot.dir, "speech.wav");
  writeFileSync(file, Buffer.concat([head, pcm]));
  return file;
}

/** launch starts the browser; sound is a WAV file that its microphone hears over and over. */
export function launch(sound = ""): Promise<Browser> {
  return chromium.launch({
    executablePath: browserPath,
    args: [
      "--no-sandbox", "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream", "--autoplay-policy=no-user-gesture-required",
      ...(sound ? [`--use-file-for-fake-audio-capture=${sound}`] : []),
    ],
  });
}

/** open shows the page; what it logs as an error, and what it asks for elsewhere, is in its list of problems. */
export async function open(browser: Browser, robot: Robot, o: Parameters<Browser["newContext"]>[0] = {}): Promise<{ page: Page; context: BrowserContext; problems: string[] }> {
  const context = await browser.newContext({ viewport: desk, ...o });
  const page = await context.newPage();
  page.setDefaultTimeout(8000);
  const problems: string[] = [];
  page.on("pageerror", (e) => problems.push(`error: ${e.message}`));
  page.on("console", (m) => m.type() === "error" && problems.push(`console: ${m.text()}`));
  page.on("request", (r) => {
    if (!r.url().startsWith(`http://${robot.http}/`) && !r.url().startsWith("blob:")) problems.push(`foreign: ${r.url()}`);
  });
  await page.goto(`http://${robot.http}/`);
  return { page, context, problems };
}

/** online waits until the page is connected. */
export async function online(page: Page): Promise<void> {
  await page.locator('[data-testid="link"][data-link="online"]').waitFor();
}

/** shot keeps a picture of the page where PAGE_SHOTS says. */
export async function shot(page: Page, name: string): Promise<void> {
  if (!shots) return;
  mkdirSync(shots, { recursive: true });
  await page.screenshot({ path: join(shots, `${name}.png`) });
}
