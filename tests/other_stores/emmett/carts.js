// A hundred events by Emmett's event store. Prints what the store reads then, an event a line.
import { webcrypto } from "node:crypto";
import { getPostgreSQLEventStore } from "@event-driven-io/emmett-postgresql";
import pg from "pg";

// What Emmett makes ids with, which Node has under this name since version 19.
globalThis.crypto ??= webcrypto;

const STREAMS = [
  "shopping_cart-1",
  "shopping_cart-0f8f7c5e-6d2e-4c8e-9a39-8f1d8c7c4b0a",
  "order:7",
  "inventory",
  "9b2ba0c4-93f3-4d3e-8f6f-0a1a5b3a7c11",
];

function event(stream, round, line) {
  const n = round * 2 + line;
  return {
    type: n === 0 ? "Opened" : "ProductAdded",
    data: { stream, n, name: "Käse \"50\\50\"\nOlé", price: 12.5, tags: [null, true, { a: [] }] },
    ...(n % 2 === 0 ? { metadata: { user: `user-${n}`, trace: { id: n } } } : {}),
  };
}

const pool = new pg.Pool({ max: 1 });
const store = getPostgreSQLEventStore("postgresql:///", { connectionOptions: { pool } });
await store.schema.migrate();
for (let round = 0; round < 10; round++) {
  for (const stream of STREAMS) {
    await store.appendToStream(stream, [event(stream, round, 0), event(stream, round, 1)]);
  }
}
for (const stream of STREAMS) {
  const { events } = await store.readStream(stream);
  for (const { type, data, metadata } of events) {
    const { messageId: id, user, trace } = metadata;
    console.log(JSON.stringify({ stream, id, type, data, metadata: { user, trace } }));
  }
}
await pool.end();
