import { now } from "../clock.js";
import { newStream, viewing } from "../viewing.js";

const FILL_BATCH = 1000;

/** A consumer that counts all messages of the log, from the first one on. */
export async function catchUp(target, { messages, ...options }) {
  const store = await target.open(1);
  for (let there = await store.count(); there < messages;) {
    const batch = Math.min(FILL_BATCH, messages - there);
    await store.append(newStream(), Array.from({ length: batch }, viewing));
    there += batch;
  }
  const log = await store.count();
  await target.analyze();

  const consumer = await target.catchUpConsumer(log, options);
  const start = now();
  await consumer.run();
  const elapsed = (now() - start) / 1000;
  const counted = await consumer.counted();
  await consumer.close();
  await store.close();
  if (counted === 0) throw new Error("the consumer counted nothing");
  return { rate: counted / elapsed, messages: counted, missing: log - counted };
}
