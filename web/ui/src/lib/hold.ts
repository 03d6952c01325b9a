// A dead-man's control: something is sent again and again for as long as a person holds on, and never
// after that.

/** every is how often in ms; the robot stops by itself after twice as long without. */
export const every = 150;

export class Hold {
  private timer: ReturnType<typeof setInterval> | undefined;

  /** send is called while it is held, and end once when it is let go; both may fail, which lets go. */
  constructor(
    private readonly send: () => Promise<unknown>,
    private readonly end: () => Promise<unknown>,
    private readonly changed: (held: boolean, err: Error | null) => void,
  ) {}

  get held(): boolean {
    return this.timer !== undefined;
  }

  grab(): void {
    if (this.held) return;
    this.timer = setInterval(() => this.beat(), every);
    this.changed(true, null);
    this.beat();
  }

  release(): void {
    if (!this.held) return;
    this.drop(null);
    this.end().catch((err: Error) => this.changed(false, err));
  }

  private beat(): void {
    this.send().catch((err: Error) => this.held && this.drop(err));
  }

  private drop(err: Error | null): void {
    clearInterval(this.timer);
    this.timer = undefined;
    this.changed(false, err);
  }
}
