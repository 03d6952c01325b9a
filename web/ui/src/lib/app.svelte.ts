// What all parts of the page share, made once.
import mqtt from "mqtt";
import { Bus } from "./bus.svelte";
import { newID } from "./message";
import { Microphone } from "./microphone.svelte";
import { Robot } from "./robot.svelte";
import { Session } from "./session.svelte";
import { Speaker } from "./speaker.svelte";
import { conversationTopics, Conversation } from "./talk.svelte";
import { turnTopics, Turns } from "./turns.svelte";
import { topics } from "./contract.gen";

/** ownID is this tab's name; a reload keeps it, so that the conversation goes on. */
function ownID(): string {
  const kept = sessionStorage.getItem("id");
  if (kept && /^page-[0-9a-f]{8}$/.test(kept)) return kept;
  const id = `page-${newID().slice(0, 8)}`;
  sessionStorage.setItem("id", id);
  return id;
}

const url = `${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/mqtt`;

export const session = new Session();
export const bus = new Bus((options) => mqtt.connect(url, options), ownID());
export const robot = new Robot();
export const talk = new Conversation();
export const turns = new Turns();
export const microphone = new Microphone(bus);
export const speaker = new Speaker(bus);

/** clock ticks for everything that shows an age. */
export const clock = $state({ now: performance.now() });

/** prefs are this browser's settings. */
export const prefs = $state({ playHere: localStorage.getItem("playHere") !== "no" });

export function savePrefs(): void {
  localStorage.setItem("playHere", prefs.playHere ? "yes" : "no");
}

/** begin starts everything; it returns how to end it. */
export function begin(): () => void {
  const ends = [...robot.listen(bus), ...conversationTopics(bus, talk), ...turnTopics(bus, turns)];
  const tick = setInterval(() => (clock.now = performance.now()), 500);
  bus.greet = () => {
    talk.missed();
    void session.load().catch(() => {}); // rights may have changed meanwhile
  };
  session.told = (ts) => bus.hint(ts);
  void enter();
  const online = () => bus.again();
  window.addEventListener("online", online);
  return () => {
    window.removeEventListener("online", online);
    clearInterval(tick);
    for (const end of ends) end();
    bus.stop();
  };
}

/** enter finds out who we are and connects. */
export async function enter(): Promise<void> {
  let known = true;
  try {
    known = await session.load();
  } catch {
    // The connection below says what is wrong, and tries again.
  }
  if (known) bus.start();
  else bus.link = "signin";
}

/** stopAll is the stop button: motion, speech and thought end, whoever carries them on. */
export async function stopAll(): Promise<void> {
  speaker.hush();
  const sent = await Promise.allSettled([
    bus.send(topics.movementStop, { reason: "stop button" }),
    session.may(topics.ttsControl) ? bus.send(topics.ttsControl, { action: "stop", reason: "stop button" }) : null,
  ]);
  const failed = sent.find((s) => s.status === "rejected");
  if (failed) throw failed.reason;
}
