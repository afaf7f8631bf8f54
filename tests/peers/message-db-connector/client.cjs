// What tests/tests/clients.rs asks of every client, through message-db-connector.
const { randomUUID } = require('node:crypto');
const {
  Levels, Message, MessageDbReader, MessageDbWriter, MessageStore, Subscription,
} = require('message-db-connector');

const [category, , , count] = process.argv.slice(2);
const streamName = `${category}-1`;

async function main() {
  const logLevel = Levels.Error;
  const [reader, writer] = [await MessageDbReader.Make({ logLevel }), await MessageDbWriter.Make({ logLevel })];
  const messageStore = new MessageStore({ reader, writer, logLevel });
  const write = (data, expectedVersion) => {
    const message = new Message({ id: randomUUID(), streamName, type: 'Noted', data, metadata: {} });
    return messageStore.write(message, expectedVersion);
  };

  for (let number = 0; number < 3; number += 1) {
    await write({ number }, number - 1);
    const { position } = await messageStore.getLastMessage(streamName);
    console.log('write', position);
  }

  // It asks `pg` for nothing else.
  console.log('format text');
  for (const { position, type, data } of await messageStore.getStreamMessages(streamName)) {
    console.log('read', position, type, data.number);
  }

  try {
    await write({}, 7);
  } catch (error) {
    // It keeps the text alone.
    console.log('conflict', error.code ?? '-', error.message);
  }

  let seen = 0;
  const subscription = new Subscription({
    messageStore, streamName: category, subscriberId: 'clients', batchSize: 10, intervalTimeMs: 1, logLevel,
  });
  subscription.registerHandler(async ({ globalPosition }) => {
    seen += 1;
    console.log('follow', globalPosition);
    if (seen === Number(count)) subscription.signalStop();
  }, 'Noted');
  console.log('following');
  await subscription.start();
  console.log('done');
}

main();
