import { now } from "../clock.js";
import { newStream, viewing } from "../viewing.js";

/**
 * Writers of one stream. Each reads its version and appends expecting it; who was overtaken reads
 * again.
 */
export async function oneStream(target, { clients = 1, seconds }) {
  const store = await target.open(clients);
  const stream = newStream();
  await store.append(stream, [viewing()]);

  let successes = 0;
  let conflicts = 0;
  const start = now();
  const end = start + seconds * 1000;
  await Promise.all(Array.from({ length: clients }, async () => {
    let version = await store.version(stream);
    while (now() < end) {
      version = await store.version(stream, version);
      const written = await store.appendExpecting(stream, version, viewing());
      if (written) successes += 1;
      else conflicts += 1;
    }
  }));
  const elapsed = (now() - start) / 1000;

  const length = await store.length(stream);
  await store.close();
  const expected = successes + 1;
  if (length !== expected) {
    throw new Error(`${expected} messages were acknowledged, ${length} are in the stream`);
  }
  return { rate: successes / elapsed, successes, conflicts, length };
}
