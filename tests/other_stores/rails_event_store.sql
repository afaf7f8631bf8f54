-- A replay of rails_event_store: its two tables as its migration for PostgreSQL makes them, and a
-- hundred events of mine. The library itself is in no registry that the tests reach.
-- \set data_type bytea, json or jsonb: what the migration was generated with.
CREATE TABLE event_store_events (
  id bigserial PRIMARY KEY,
  event_id uuid NOT NULL UNIQUE,
  event_type varchar NOT NULL,
  metadata :data_type,
  data :data_type NOT NULL,
  created_at timestamp(6) NOT NULL,
  valid_at timestamp(6)
);
CREATE TABLE event_store_events_in_streams (
  id bigserial PRIMARY KEY,
  stream varchar NOT NULL,
  position integer,
  event_id uuid NOT NULL REFERENCES event_store_events (event_id),
  created_at timestamp(6) NOT NULL,
  UNIQUE (stream, position),
  UNIQUE (stream, event_id)
);

-- Five streams, which take turns; what is published without one is in no stream.
CREATE TEMPORARY TABLE turns (turn int, stream varchar);
INSERT INTO turns VALUES (0, 'Ordering::Order$1'), (1, 'e-mail$ann'), (2, 'order-9'), (3, 'Inventory'), (4, NULL);
CREATE TEMPORARY TABLE published AS
SELECT n, md5('event ' || n)::uuid AS event_id, stream,
  jsonb_build_object('n', n, 'name', E'Käse "50\\50"\n', 'price', 12.50, 'lines', '[null, {"a": []}]'::jsonb) AS data,
  jsonb_build_object('correlation_id', md5('c' || n), 'types', '{}'::jsonb) AS metadata
FROM generate_series(0, 99) n JOIN turns ON turn = n % 5;

SELECT :'data_type' = 'bytea' AS is_binary \gset
INSERT INTO event_store_events (event_id, event_type, metadata, data, created_at, valid_at)
SELECT event_id, CASE WHEN n < 5 THEN 'Ordering::OrderPlaced' ELSE 'Ordering::LineAdded' END,
\if :is_binary
  convert_to(metadata::text, 'UTF8'), convert_to(data::text, 'UTF8'),
\else
  metadata :: :data_type, data :: :data_type,
\endif
  timestamp '2026-01-01 10:00:00' + n * interval '1 minute',
  CASE WHEN n % 10 = 0 THEN timestamp '2025-12-01 10:00:00' END
FROM published ORDER BY n;

-- Positions from 0, but for a stream that is written to without an expected version.
INSERT INTO event_store_events_in_streams (stream, position, event_id, created_at)
SELECT stream, CASE WHEN stream <> 'Inventory' THEN n / 5 END, event_id, now() FROM published
WHERE stream IS NOT NULL ORDER BY n;
-- Every tenth event is linked to a second stream, one of them to a third.
INSERT INTO event_store_events_in_streams (stream, position, event_id, created_at)
SELECT 'by_day$2026-01-01', n / 10, event_id, now() FROM published WHERE n % 10 = 0 ORDER BY n;
INSERT INTO event_store_events_in_streams (stream, position, event_id, created_at)
SELECT 'first', 0, event_id, now() FROM published WHERE n = 0;
-- Two that were published without a stream are linked to one.
INSERT INTO event_store_events_in_streams (stream, position, event_id, created_at)
SELECT 'by_hour$1', n / 10, event_id, now() FROM published WHERE n IN (4, 14) ORDER BY n;
