-- A queue, and the read model that its reader makes. pgmq itself is there already.
SELECT pgmq.create('viewings');

CREATE SCHEMA bench;
CREATE TABLE bench.viewing_counts (video_id text PRIMARY KEY, viewings bigint NOT NULL);

-- Pops and handles the next messages in the caller's transaction, which makes it exactly once.
-- To read, handle and delete or archive them takes two to five times as long.
CREATE FUNCTION bench.count_viewings(batch_size integer) RETURNS void LANGUAGE sql AS $$
  INSERT INTO bench.viewing_counts
  SELECT message ->> 'videoId' AS video_id, count(*)
  FROM pgmq.pop('viewings', batch_size)
  GROUP BY 1
  ON CONFLICT (video_id)
  DO UPDATE SET viewings = viewing_counts.viewings + excluded.viewings
$$;
