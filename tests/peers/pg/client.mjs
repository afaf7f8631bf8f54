// What tests/tests/clients.rs asks of every client, through pg.
import { randomUUID } from 'node:crypto';
import pg from 'pg';

const [category, , , count] = process.argv.slice(2);
const stream = `${category}-1`;

const client = new pg.Client();
await client.connect();

const call = (text, ...values) => client.query(text, values);

async function write(data, expectedVersion) {
  const { rows } = await call('SELECT message_store.write_message($1, $2, $3, $4, $5, $6)',
    randomUUID(), stream, 'Noted', data, null, expectedVersion);
  return rows[0].write_message;
}

for (let number = 0; number < 3; number += 1) {
  console.log('write', String(await write({ number }, number - 1)));
}

const read = await call('SELECT position, type, data FROM message_store.get_stream_messages($1, $2, $3)',
  stream, 0, 1000);
console.log('format', read.fields[0].format);
for (const { position, type, data } of read.rows) {
  console.log('read', String(position), type, JSON.parse(data).number);
}

try {
  await write({}, 7);
} catch (error) {
  console.log('conflict', error.code, error.message);
}

console.log('following');
for (let seen = 0, position = 0; seen < Number(count);) {
  const { rows } = await call('SELECT global_position FROM message_store.get_category_messages($1, $2, $3)',
    category, position + 1, 10);
  for (const row of rows) {
    seen += 1;
    position = Number(row.global_position);
    console.log('follow', position);
  }
}
await client.end();
console.log('done');
