import { now } from "../clock.js";
import { newStream, viewing } from "../viewing.js";

/** One connection that writes a batch to a new stream in each transaction. */
export async function writeBatch(target, { seconds, batch = 1000 }) {
  const store = await target.open(1);
  await store.append(newStream(), [viewing()]);

  let messages = 0;
  const start = now();
  const end = start + seconds * 1000;
  while (now() < end) {
    await store.append(newStream(), Array.from({ length: batch }, viewing));
    messages += batch;
  }
  const elapsed = (now() - start) / 1000;
  await store.close();
  return { rate: messages / elapsed, messages };
}
