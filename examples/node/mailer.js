// Sends a mail for each message of the category order, once. See ../README.md.
import pg from "pg";

const SUBSCRIBER = "services:mailer";
const BATCH_SIZE = 10;
const LEASE = `${process.env.LEASE_S ?? "30"} s`;
const LEASE_LOST = "55000";

class CannotBeMailed extends Error {}

// The table stands for the mail service. Like most, it takes a key: a mail of
// the same message is not sent again.
async function sendMail(database, message) {
  const order = JSON.parse(message.data);
  if (!order.email) {
    throw new CannotBeMailed("the order has no email");
  }
  const sent = await database.query(
    `INSERT INTO public.mails (message_id, recipient, subject)
     VALUES ($1, $2, $3) ON CONFLICT (message_id) DO NOTHING`,
    [message.id, order.email, message.type],
  );
  console.log(sent.rowCount ? "mailed" : "mailed before", message.global_position);
}

async function handleNext(database) {
  const { rows: messages } = await database.query(
    "SELECT * FROM message_store.fetch($1, $2, $3)",
    [SUBSCRIBER, BATCH_SIZE, LEASE],
  );
  for (const message of messages) {
    const { global_position, lease } = message;
    try {
      await sendMail(database, message);
    } catch (error) {
      if (!(error instanceof CannotBeMailed)) throw error;
      await database.query("SELECT message_store.park($1, $2, $3, $4)", [
        SUBSCRIBER, global_position, error.message, lease,
      ]);
      console.log("parked", global_position);
      break; // the lease has ended: what is left comes again
    }
    await database.query("SELECT message_store.ack($1, $2, $3)", [
      SUBSCRIBER, global_position, lease,
    ]);
  }
  return messages.length;
}

const database = new pg.Client({ connectionString: process.env.DATABASE_URL });
await database.connect();
let lastDrawn = 0;
for (;;) {
  try {
    if ((await handleNext(database)) > 0) continue;
  } catch (error) {
    if (error.code !== LEASE_LOST) throw error;
    console.log("too slow: somebody else may have these messages now");
    continue;
  }
  const { rows } = await database.query(
    "CALL message_store.wait_for_messages($1, '500 ms', NULL)",
    [lastDrawn],
  );
  lastDrawn = rows[0].last;
}
