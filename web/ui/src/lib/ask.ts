// Questions over the bus: a message, and the answer that carries its id.
import type { Bus } from "./bus.svelte";
import type { Topic } from "./contract.gen";
import { newID } from "./message";
import { t } from "./strings";

/** ask sends a question and resolves to the answer with its id; it fails, in words, after so many ms without one. */
export function ask<Q, A>(bus: Pick<Bus, "on" | "send">, question: Topic<Q>, data: Q, answer: Topic<A>, within = 8000): Promise<A> {
  const id = newID();
  return new Promise((resolve, reject) => {
    const done = (): void => {
      clearTimeout(timer);
      end();
    };
    const end = bus.on(answer, (m) => {
      if (m.id !== id || m.retained) return;
      done();
      resolve(m.data);
    });
    const timer = setTimeout(() => {
      done();
      reject(new Error(t.noReply(question.name)));
    }, within);
    bus.send(question, data, { id }).catch((err: Error) => {
      done();
      reject(err);
    });
  });
}
