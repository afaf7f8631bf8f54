-- What the mailers of this folder need, beside a message store.
CREATE TABLE public.mails (
  message_id varchar PRIMARY KEY,
  number bigint GENERATED ALWAYS AS IDENTITY,
  recipient varchar NOT NULL,
  subject varchar NOT NULL
);

SELECT message_store.create_subscription('services:mailer', 'order', '{}');
SELECT message_store.start('services:mailer');
