// What went wrong with something that a person asked for; it stays until it is put away or done again.

class Alarm {
  text: string = $state("");

  /** run waits for something and shows its error; it resolves to whether it went well. */
  async run(work: Promise<unknown>): Promise<boolean> {
    try {
      await work;
      this.text = "";
      return true;
    } catch (err) {
      this.text = (err as Error).message;
      return false;
    }
  }
}

export const alarm = new Alarm();
