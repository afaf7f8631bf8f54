import { now } from "../clock.js";
import { newStream, viewing } from "../viewing.js";

/** Writers that each write one message a transaction, each to a new stream. */
export async function write(target, { clients = 1, seconds }) {
  const store = await target.open(clients);
  const writers = Array.from({ length: clients });
  // The connections are there, and their statements prepared, before the clock starts.
  await Promise.all(writers.map(() => store.append(newStream(), [viewing()])));

  let messages = 0;
  const start = now();
  const end = start + seconds * 1000;
  await Promise.all(writers.map(async () => {
    while (now() < end) {
      await store.append(newStream(), [viewing()]);
      messages += 1;
    }
  }));
  const elapsed = (now() - start) / 1000;
  await store.close();
  return { rate: messages / elapsed, messages };
}
