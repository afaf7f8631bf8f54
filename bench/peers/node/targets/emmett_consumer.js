// Emmett's consumer with a projector that counts viewings in a table.
import { webcrypto } from "node:crypto";
import { rawSql, sql } from "@event-driven-io/dumbo";
import {
  getPostgreSQLEventStore,
  postgreSQLRawSQLProjection,
} from "@event-driven-io/emmett-postgresql";
import pg from "pg";

// What Emmett hashes with, which Node has under this name since version 19.
globalThis.crypto ??= webcrypto;

export const COUNTER = "SELECT viewings AS count FROM viewing_counts WHERE video_id = 'streams'";

/** `handled` fills with the streams of the messages, in the order in which they are handled. */
export function counterConsumer({ batch, pullEveryMs, stopAfter }) {
  const handled = [];
  const projection = postgreSQLRawSQLProjection({
    name: "viewing-counts",
    canHandle: ["VideoViewed"],
    init: () => rawSql(
      `CREATE TABLE IF NOT EXISTS viewing_counts (
         video_id text PRIMARY KEY,
         viewings bigint NOT NULL
       )`,
    ),
    evolve: ({ data, metadata }) => {
      handled.push(metadata.streamName);
      return sql(
        `INSERT INTO viewing_counts VALUES (%L, 1)
         ON CONFLICT (video_id) DO UPDATE SET viewings = viewing_counts.viewings + 1`,
        data.videoId,
      );
    },
  });

  // One connection pulls, one has the transaction of the batch.
  const pool = new pg.Pool({ max: 2 });
  const store = getPostgreSQLEventStore("postgresql:///", {
    connectionOptions: { pool },
    schema: { autoMigration: "None" },
  });
  const consumer = store.consumer({
    pulling: { batchSize: batch, pullingFrequencyInMs: pullEveryMs },
    ...(stopAfter === undefined ? {} : { stopWhen: { noMessagesLeft: true } }),
  });
  consumer.projector({ projection, stopAfter: () => handled.length === stopAfter });
  return { pool, consumer, handled };
}
