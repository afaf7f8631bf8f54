// Emmett's event store in PostgreSQL, as its documentation shows it, with a pool of our size.
import { Worker } from "node:worker_threads";
import { EmmettError } from "@event-driven-io/emmett";
import { getPostgreSQLEventStore } from "@event-driven-io/emmett-postgresql";
import pg from "pg";
import { COUNTER, counterConsumer } from "./emmett_consumer.js";

/** The store is given a pool and never connects by this. */
const NO_ADDRESS = "postgresql:///";

export async function prepare() {
  const pool = new pg.Pool({ max: 1 });
  const store = getPostgreSQLEventStore(NO_ADDRESS, { connectionOptions: { pool } });
  await store.schema.migrate();
  await pool.end();
}

export async function open(connections) {
  const pool = new pg.Pool({ max: connections });
  const store = getPostgreSQLEventStore(NO_ADDRESS, {
    connectionOptions: { pool },
    schema: { autoMigration: "None" },
  });
  return {
    append: (stream, messages) => store.appendToStream(stream, messages),

    async appendExpecting(stream, version, message) {
      try {
        await store.appendToStream(stream, [message], { expectedStreamVersion: version });
        return true;
      } catch (error) {
        // The package brings a copy of the error's class, so instanceof would not know it.
        if (EmmettError.isInstanceOf(error, EmmettError.Codes.ConcurrencyError)) return false;
        throw error;
      }
    },

    /** Reads on from a version that is known, instead of the whole stream. */
    async version(stream, known) {
      const { currentStreamVersion } = await store.readStream(stream, { from: known });
      return currentStreamVersion;
    },

    async length(stream) {
      const { events } = await store.readStream(stream);
      return events.length;
    },

    async count() {
      const { rows } = await pool.query("SELECT count(*) FROM emt_messages");
      return Number(rows[0].count);
    },

    close: () => pool.end(),
  };
}

export async function analyze() {
  const pool = new pg.Pool({ max: 1 });
  await pool.query("VACUUM (ANALYZE) emt_messages");
  await pool.end();
}

/** The consumer runs in a thread of its own, as it would in a process of its own. */
export async function follow(options) {
  const worker = new Worker(new URL("./emmett_worker.js", import.meta.url), {
    workerData: options,
  });
  const answer = () => new Promise((resolve, reject) => {
    worker.once("message", resolve);
    worker.once("error", reject);
  });
  await answer();
  return {
    counter: COUNTER,
    hint: "does the consumer run?",
    async stop() {
      worker.postMessage("stop");
      return answer();
    },
  };
}

/** A batch is larger than by default, and pulled at once after the one before. */
export async function catchUpConsumer(log, { batch = 1000, pullEveryMs = 0 }) {
  const { pool, consumer, handled } = counterConsumer({ batch, pullEveryMs, stopAfter: log });
  await consumer.init();
  return {
    run: () => consumer.start(),
    counted: async () => handled.length,
    close: () => pool.end(),
  };
}
