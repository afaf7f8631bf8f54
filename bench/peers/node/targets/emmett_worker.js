import { parentPort, workerData } from "node:worker_threads";
import { counterConsumer } from "./emmett_consumer.js";

const { batch, pullEveryMs } = workerData;
const { pool, consumer, handled } = counterConsumer({ batch, pullEveryMs });
await consumer.init();
const running = consumer.start();
parentPort.once("message", async () => {
  await consumer.stop();
  await running;
  await pool.end();
  parentPort.postMessage(handled);
});
parentPort.postMessage("started");
