// Who this page is to the robot: nobody in particular on the robot itself, a user from elsewhere. The
// session is a cookie that scripts cannot read.
import type { Topic } from "./contract.gen";
import { t } from "./strings";

interface Answer {
  user: string;
  roles: string[];
  /** topics of the table that it may publish to */
  may: string[];
}

const path = "/api/v1/session";
/** A request that takes longer is given up, in ms: a link that has changed may leave one without an end. */
const within = 10_000;

export class Session {
  /** empty: nobody in particular */
  user: string = $state("");
  roles: string[] = $state([]);
  /** is told the robot's time in Unix seconds */
  told: (ts: number) => void = () => {};
  private topics: Set<string> = $state.raw(new Set());

  /** may reports whether messages to a topic would be taken. */
  may(topic: Topic<unknown> | string): boolean {
    return this.topics.has(typeof topic === "string" ? topic : topic.name);
  }

  /** load asks who we are; false if that is nobody who may come in. */
  async load(): Promise<boolean> {
    const answer = await fetch(path, { cache: "no-store", signal: AbortSignal.timeout(within) });
    this.told(Date.parse(answer.headers.get("Date") ?? "") / 1000);
    if (answer.status === 401) return false;
    if (!answer.ok) throw new Error(`${answer.status} ${answer.statusText}`);
    this.take((await answer.json()) as Answer);
    return true;
  }

  /** signIn tries a user and password, and throws in words for people. */
  async signIn(user: string, password: string): Promise<void> {
    const answer = await fetch(path, {
      method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ user, password }),
    });
    if (answer.status === 401) throw new Error(t.signinWrong);
    if (answer.status === 429) throw new Error(t.signinSlow);
    if (!answer.ok) throw new Error(t.signinFailed(await answer.text()));
    this.take((await answer.json()) as Answer);
  }

  async signOut(): Promise<void> {
    const answer = await fetch(path, { method: "DELETE", signal: AbortSignal.timeout(within) });
    if (!answer.ok) throw new Error(`${answer.status} ${answer.statusText}`);
    this.user = "";
    this.roles = [];
    this.topics = new Set();
  }

  private take(a: Answer): void {
    this.user = a.user;
    this.roles = a.roles;
    this.topics = new Set(a.may);
  }
}
