-- A queue, a consumer of it, and the read model that the consumer makes.
CREATE EXTENSION pgq;
SELECT pgq.create_queue('viewings');
-- A tick is made whenever pgq.ticker is called and there is something new, so that whoever calls it
-- decides how large batches are and how soon a message is to be had.
SELECT pgq.set_queue_config('viewings', 'ticker_max_count', '1000');
SELECT pgq.set_queue_config('viewings', 'ticker_max_lag', '0 seconds');
SELECT pgq.ticker('viewings');
SELECT pgq.register_consumer('viewings', 'counter');

CREATE SCHEMA bench;
CREATE TABLE bench.viewing_counts (video_id text PRIMARY KEY, viewings bigint NOT NULL);

-- Handles the next batch in the caller's transaction, which makes it exactly once. Returns the
-- number of its messages, 0 when there is no batch.
CREATE FUNCTION bench.count_viewings() RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
  batch bigint := pgq.next_batch('viewings', 'counter');
  handled bigint;
BEGIN
  IF batch IS NULL THEN
    RETURN 0;
  END IF;
  WITH viewed AS (
    SELECT ev_data::jsonb ->> 'videoId' AS video_id, count(*) AS viewings
    FROM pgq.get_batch_events(batch)
    WHERE ev_type = 'VideoViewed'
    GROUP BY 1
  ), counted AS (
    INSERT INTO bench.viewing_counts SELECT video_id, viewings FROM viewed
    ON CONFLICT (video_id)
    DO UPDATE SET viewings = viewing_counts.viewings + excluded.viewings
  )
  SELECT coalesce(sum(viewings), 0) INTO handled FROM viewed;
  PERFORM pgq.finish_batch(batch);
  RETURN handled;
END
$$;
