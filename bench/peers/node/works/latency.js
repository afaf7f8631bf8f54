import { now, sleep } from "../clock.js";
import { observe } from "../observer.js";
import { newStream, viewing } from "../viewing.js";

const START_WITHIN_MS = 10000;

/** A consumer that has moved nothing for so long will not: it has skipped what is missing. */
const GIVE_UP_AFTER_MS = 5000;

/**
 * From the moment a writer hears of its commit until a reader of the read model sees the message in
 * it, for every message. The reader sees a count that has come to n: then the first n messages in
 * the order in which the consumer handled them are there.
 */
export async function latency(target, { clients = 8, seconds, writesPerSecond, ...options }) {
  const store = await target.open(clients);
  if (await store.count() > 0) throw new Error("latency is measured in an empty store");
  const consumer = await target.follow(options);
  const observer = await observe(consumer.counter);
  // What is measured is a consumer at work, not how it starts.
  await store.append(newStream(), [viewing()]);
  if (!await observer.until(1, START_WITHIN_MS)) {
    throw new Error(`nothing comes to the read model: ${consumer.hint}`);
  }

  const committed = new Map();
  const start = now();
  await writeAtRate(writesPerSecond, seconds, async () => {
    const stream = newStream();
    await store.append(stream, [viewing()]);
    committed.set(stream, now());
  });
  const written = committed.size / ((now() - start) / 1000);
  await observer.until(1 + committed.size, GIVE_UP_AFTER_MS);

  const sightings = await observer.stop();
  const handled = await consumer.stop();
  await store.close();
  const delays = delaysOf(handled, committed, sightings);
  const missing = committed.size - delays.length;
  return { ...summary(delays), writes_per_second: written, missing };
}

/** Open loop: a write that is due is sent, however many are under way. */
async function writeAtRate(writesPerSecond, seconds, writeOne) {
  const writes = [];
  const start = now();
  for (let n = 0; n < writesPerSecond * seconds; n += 1) {
    const wait = start + n * 1000 / writesPerSecond - now();
    if (wait > 0) await sleep(wait);
    writes.push(writeOne());
  }
  await Promise.all(writes);
}

function delaysOf(handled, committed, sightings) {
  const delays = [];
  let counted = 0;
  for (const { count, at } of sightings) {
    for (; counted < count; counted += 1) {
      const commit = committed.get(handled[counted]);
      // Seen before its writer heard of the commit is no delay at all.
      if (commit !== undefined) delays.push(Math.max(0, at - commit));
    }
  }
  return delays;
}

function summary(delays) {
  const sorted = [...delays].sort((a, b) => a - b);
  const last = sorted.length - 1;
  return {
    p50_ms: sorted[Math.floor(last * 0.5)],
    p99_ms: sorted[Math.floor(last * 0.99)],
    max_ms: sorted[last],
    messages: sorted.length,
  };
}
