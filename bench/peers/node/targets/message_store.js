// Ours, by the npm package pg, with a pool of the same size and prepared statements.
import { randomUUID } from "node:crypto";
import pg from "pg";

const WRITE = {
  name: "write",
  text: "SELECT message_store.write_message($1, $2, $3, $4)",
};
const WRITE_EXPECTING = {
  name: "write expecting",
  text: "SELECT message_store.write_message($1, $2, $3, $4, expected_version => $5)",
};
const WRITE_BATCH = {
  name: "write batch",
  text: "SELECT max(global_position) FROM message_store.write_messages($1, $2::jsonb)",
};
const VERSION = { name: "version", text: "SELECT message_store.stream_version($1) AS version" };

const SUBSCRIBER = "aggregators:bench";
const WRONG_VERSION = "Wrong expected version";

export async function prepare() {
  await withClient(async (database) => {
    await database.query("CREATE EXTENSION IF NOT EXISTS message_store");
    await database.query("SELECT message_store.create_store()");
  });
}

export async function open(connections) {
  const pool = new pg.Pool({ max: connections });
  return {
    append: (stream, messages) => messages.length === 1
      ? pool.query({ ...WRITE, values: one(stream, messages[0]) })
      : pool.query({ ...WRITE_BATCH, values: [stream, JSON.stringify(messages)] }),

    async appendExpecting(stream, version, message) {
      // Not pool.query, which closes the connection of a query that fails.
      const client = await pool.connect();
      try {
        await client.query({ ...WRITE_EXPECTING, values: [...one(stream, message), version] });
        return true;
      } catch (error) {
        if (error.message.startsWith(WRONG_VERSION)) return false;
        throw error;
      } finally {
        client.release();
      }
    },

    async version(stream) {
      const { rows } = await pool.query({ ...VERSION, values: [stream] });
      return Number(rows[0].version ?? -1);
    },

    async length(stream) {
      const { rows } = await pool.query(
        "SELECT count(*) FROM message_store.get_stream_messages($1, 0, -1)",
        [stream],
      );
      return Number(rows[0].count);
    },

    async count() {
      const { rows } = await pool.query("SELECT count(*) FROM message_store.messages");
      return Number(rows[0].count);
    },

    close: () => pool.end(),
  };
}

function one(stream, { type, data }) {
  return [randomUUID(), stream, type, JSON.stringify(data)];
}

export async function analyze() {
  await withClient((database) => database.query("VACUUM (ANALYZE) message_store.messages"));
}

/** An orchestrator must be running on the database: it ticks what is started here. */
export async function follow({ batch }) {
  await withClient((database) => createAggregator(database, batch));
  return {
    counter: HOME_PAGE,
    hint: "is an orchestrator running on this database?",
    // It handles every message, in the order of the log.
    stop: () => withClient(async (database) => {
      const { rows } = await database.query(
        "SELECT stream_name FROM message_store.messages ORDER BY global_position",
      );
      return rows.map((row) => row.stream_name);
    }),
  };
}

export async function catchUpConsumer(log, { batch, handleIn }) {
  const database = new pg.Client();
  await database.connect();
  const consumer = handleIn === "application"
    ? await application(database, batch)
    : await aggregator(database, batch);
  return { ...consumer, close: () => database.end() };
}

// --- Handled in the database -------------------------------------------------------------------

const HOME_PAGE = `SELECT (page_data ->> 'videosWatched')::bigint AS count
  FROM message_store.read_model_pages WHERE page_name = 'home'`;

async function createAggregator(database, batch) {
  const options = { init: "message_store.ensure_home_page" };
  if (batch !== undefined) options.batch_size = batch;
  await database.query("SELECT message_store.create_subscription($1, 'viewings', $2, $3)", [
    SUBSCRIBER,
    { VideoViewed: "message_store.increment_videos_watched" },
    options,
  ]);
  await database.query("SELECT message_store.start($1)", [SUBSCRIBER]);
}

async function aggregator(database, batch) {
  await createAggregator(database, batch);
  const tick = {
    name: "tick",
    text: "SELECT outcome FROM message_store.tick($1)",
    values: [SUBSCRIBER],
  };
  return {
    async run() {
      let outcome;
      do {
        const { rows } = await database.query(tick);
        outcome = rows[0].outcome;
      } while (outcome === "progressed");
      if (outcome !== "idle") throw new Error(`the aggregator is ${outcome}`);
    },
    counted: () => countIn(database, HOME_PAGE),
  };
}

// --- Handled in this program -------------------------------------------------------------------

/** Counts here, and writes the count down in the transaction of the acknowledgement. */
async function application(database, batch = 5000) {
  await database.query(
    "CREATE TABLE viewing_counts (video_id text PRIMARY KEY, viewings bigint NOT NULL)",
  );
  await database.query("SELECT message_store.create_subscription($1, 'viewings', '{}')", [
    SUBSCRIBER,
  ]);
  await database.query("SELECT message_store.start($1)", [SUBSCRIBER]);
  const fetch = {
    name: "fetch",
    text: "SELECT data, global_position, lease FROM message_store.fetch($1, $2, '1 min')",
    values: [SUBSCRIBER, batch],
  };
  const add = {
    name: "add",
    text: `INSERT INTO viewing_counts VALUES ($1, $2)
      ON CONFLICT (video_id) DO UPDATE SET viewings = viewing_counts.viewings + excluded.viewings`,
  };
  const ack = { name: "ack", text: "SELECT message_store.ack($1, $2, $3)" };

  const handleNext = async () => {
    await database.query("BEGIN");
    const { rows: messages } = await database.query(fetch);
    const viewings = new Map();
    for (const { data } of messages) {
      const { videoId } = JSON.parse(data);
      viewings.set(videoId, (viewings.get(videoId) ?? 0) + 1);
    }
    for (const values of viewings) await database.query({ ...add, values });
    if (messages.length > 0) {
      const { global_position, lease } = messages.at(-1);
      await database.query({ ...ack, values: [SUBSCRIBER, global_position, lease] });
    }
    await database.query("COMMIT");
    return messages.length;
  };
  return {
    async run() {
      while (await handleNext() > 0);
    },
    counted: () => countIn(database, "SELECT sum(viewings) AS count FROM viewing_counts"),
  };
}

async function countIn(database, counter) {
  const { rows } = await database.query(counter);
  return Number(rows[0]?.count ?? 0);
}

async function withClient(use) {
  const database = new pg.Client();
  await database.connect();
  try {
    return await use(database);
  } finally {
    await database.end();
  }
}
