-- A store, a subscription to it, and the read model that its handler makes.
CREATE EXTENSION message_store;
SELECT message_store.create_store();

CREATE SCHEMA bench;
CREATE TABLE bench.viewing_counts (video_id text PRIMARY KEY, viewings bigint NOT NULL);

CREATE FUNCTION bench.count_viewings(messages message_store.message[]) RETURNS void
LANGUAGE sql AS $$
  INSERT INTO bench.viewing_counts
  SELECT data::jsonb ->> 'videoId' AS video_id, count(*) FROM unnest(messages) GROUP BY 1
  ON CONFLICT (video_id)
  DO UPDATE SET viewings = viewing_counts.viewings + excluded.viewings
$$;

SELECT message_store.create_subscription(
  'counter', 'viewings', '{"VideoViewed": "bench.count_viewings"}'
);
SELECT message_store.start('counter');
