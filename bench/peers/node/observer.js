// Looks at a counter from a thread of its own, so that neither writers nor consumers wait for it.
import { Worker, isMainThread, parentPort, workerData } from "node:worker_threads";
import pg from "pg";
import { now, sleep } from "./clock.js";

/** The pause between two looks; a delay is measured too long by half of it on the average. */
const PAUSE_MS = 1;

/** `counter` is a query of one row with the column `count`, or of none. */
export async function observe(counter) {
  const worker = new Worker(new URL(import.meta.url), { workerData: { counter } });
  const sightings = [];
  let failure;
  worker.on("error", (error) => { failure = error; });
  await new Promise((resolve, reject) => {
    worker.once("error", reject);
    worker.on("message", (sighting) => {
      resolve();
      sightings.push(sighting);
    });
  });
  const seen = () => sightings.at(-1);
  return {
    /** Whether it came to that count; false when it has not moved for so long. */
    async until(count, giveUpAfterMs) {
      while (seen().count < count) {
        if (failure) throw failure;
        if (now() - seen().at > giveUpAfterMs) return false;
        await sleep(10);
      }
      return true;
    },
    async stop() {
      await worker.terminate();
      return sightings;
    },
  };
}

async function look(counter) {
  const database = new pg.Client();
  await database.connect();
  let last = -1;
  for (;;) {
    const { rows } = await database.query({ name: "look", text: counter });
    const count = Number(rows[0]?.count ?? 0);
    if (count !== last) parentPort.postMessage({ count, at: now() });
    last = count;
    await sleep(PAUSE_MS);
  }
}

if (!isMainThread) await look(workerData.counter);
