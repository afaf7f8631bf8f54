// The home page of Practical Microservices, as its later printing asks for it: the statements, and how
// they are sent, are the book's; the program is ours.
//
//   node video_tutorials.mjs view COUNT        records viewings
//   node video_tutorials.mjs aggregate COUNT   runs the aggregator until the page counts that many
//   node video_tutorials.mjs check             asks for what the rest of the book asks
import { randomUUID } from 'node:crypto';
import createKnex from 'knex';
import pg from 'pg';

const { DATABASE_URL, MESSAGE_STORE_CONNECTION_STRING } = process.env;
const SUBSCRIBER = 'aggregators:home-page';
const BATCH = 100;

const store = new pg.Client({ connectionString: MESSAGE_STORE_CONNECTION_STRING });
const pages = createKnex(DATABASE_URL);

const parsed = (row) => row && {
  ...row,
  globalPosition: parseInt(row.global_position, 10),
  position: parseInt(row.position, 10),
  data: row.data ? JSON.parse(row.data) : {},
};

function write(streamName, { id, type, data, metadata }, expectedVersion) {
  return store.query('SELECT message_store.write_message($1, $2, $3, $4, $5, $6)',
    [id, streamName, type, data, metadata, expectedVersion]);
}

async function read(streamName, position, count) {
  const reader = streamName.includes('-') ? 'get_stream_messages' : 'get_category_messages';
  const { rows } = await store.query(`SELECT * FROM ${reader}($1, $2, $3)`, [streamName, position, count]);
  return rows.map(parsed);
}

async function readLast(streamName) {
  const { rows } = await store.query('SELECT * FROM get_last_stream_message($1)', [streamName]);
  return parsed(rows[0]);
}

async function view(count) {
  for (let number = 0; number < count; number += 1) {
    const videoId = randomUUID();
    await write(`viewing-${videoId}`, {
      id: randomUUID(),
      type: 'VideoViewed',
      metadata: { traceId: randomUUID(), userId: randomUUID() },
      data: { userId: randomUUID(), videoId },
    });
  }
}

async function createPages() {
  if (await pages.schema.hasTable('pages')) return;
  await pages.schema.createTable('pages', (table) => {
    table.string('page_name').primary();
    table.jsonb('page_data').defaultsTo('{}');
  });
}

const ensureHomePage = () => pages.raw(
  "INSERT INTO pages(page_name, page_data) VALUES ('home', :pageData) ON CONFLICT DO NOTHING",
  { pageData: { lastViewProcessed: 0, videosWatched: 0 } },
);

const incrementVideosWatched = (globalPosition) => pages.raw(
  `UPDATE pages
   SET page_data = jsonb_set(
     jsonb_set(page_data, '{videosWatched}', ((page_data ->> 'videosWatched')::int + 1)::text::jsonb),
     '{lastViewProcessed}', :globalPosition::text::jsonb)
   WHERE page_name = 'home' AND (page_data->>'lastViewProcessed')::int < :globalPosition`,
  { globalPosition },
);

async function videosWatched() {
  const [home] = await pages('pages').where({ page_name: 'home' }).limit(1);
  return home.page_data.videosWatched;
}

async function aggregate(count) {
  await createPages();
  await ensureHomePage();
  const positions = `subscriberPosition-${SUBSCRIBER}`;
  const saved = await readLast(positions);
  let position = saved ? saved.data.position : 0;
  console.log('from', position);
  for (let unsaved = 0; await videosWatched() < count;) {
    for (const { type, globalPosition } of await read('viewing', position + 1, BATCH)) {
      if (type === 'VideoViewed') await incrementVideosWatched(globalPosition);
      position = globalPosition;
      unsaved += 1;
      if (unsaved === BATCH) {
        unsaved = 0;
        await write(positions, { id: randomUUID(), type: 'Read', data: { position } });
      }
    }
  }
}

async function check() {
  const stream = `identity-${randomUUID()}`;
  await write(stream, { id: randomUUID(), type: 'Registered', data: { email: 'a@b.example' } }, -1);
  const conflict = await write(stream, { id: randomUUID(), type: 'Registered', data: {} }, -1)
    .then(() => 'none', ({ message }) => message.match(/^Wrong.*Stream Version: (\d+)\)/)[1]);
  console.log('actual version', conflict);
  const [registered] = await read(stream, 0, 1000);
  console.log('read', registered.position, registered.type, registered.data.email);
  console.log('nothing', await readLast(`identity-${randomUUID()}`) ?? 'is there');
  const all = await store.query(
    `SELECT id::varchar, stream_name::varchar, type::varchar, position::bigint, global_position::bigint,
       data::varchar, metadata::varchar, time::timestamp
     FROM messages WHERE global_position > $1 LIMIT $2`,
    [0, 1000],
  );
  console.log('all', all.rows.length);
}

await store.connect();
await store.query('SET search_path = message_store, public');
const [command, count] = process.argv.slice(2);
await { view, aggregate, check }[command](Number(count));
await store.end();
await pages.destroy();
console.log('done');
