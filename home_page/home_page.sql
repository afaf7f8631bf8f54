-- The demo's own part of the database: the read model of the page most-watched, and the service that
-- turns commands into events. `orchestrator up` brings it; elsewhere, after create_store():
--
--   psql "$DATABASE_URL" -f home_page/home_page.sql
--
-- It can run again. Yours would stand in a schema of your own; this one stands where the stores of
-- version 0.2 have it.

CREATE TABLE IF NOT EXISTS message_store.video_views (
  video_id varchar PRIMARY KEY,
  views bigint NOT NULL
);

CREATE INDEX IF NOT EXISTS video_views_most ON message_store.video_views (views DESC, video_id);

COMMENT ON TABLE message_store.video_views IS
  'How often each video was watched: the read model behind the page most-watched.';
COMMENT ON COLUMN message_store.video_views.video_id IS 'The video.';
COMMENT ON COLUMN message_store.video_views.views IS 'How often it was watched.';

GRANT SELECT, INSERT, UPDATE, DELETE ON message_store.video_views TO message_store;
GRANT SELECT ON message_store.video_views TO message_store_viewer;

CREATE OR REPLACE FUNCTION message_store.ensure_most_watched() RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  read_model name := coalesce((message_store.handler_context()).read_model, 'message_store');
BEGIN
  EXECUTE format(
    $sql$
      INSERT INTO %I.read_model_pages (page_name, page_data)
      VALUES ('most-watched', '{"videos": [], "recent": []}')
      ON CONFLICT DO NOTHING
    $sql$,
    read_model);
END
$$;

COMMENT ON FUNCTION message_store.ensure_most_watched() IS
  'Makes the page most-watched where it is missing: {"videos": [], "recent": []}.';

-- Counts first, then shows the most watched: the page is one row, the counts are a table of their
-- own. The table's order by views is an index, so that ten of a million videos are ten rows.
-- The last viewings are those of the highest positions, in whatever order messages come: members of
-- a group and parked messages that are handled late make the same page.
CREATE OR REPLACE FUNCTION message_store.count_views_per_video(messages message_store.message[]) RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  read_model name := coalesce((message_store.handler_context()).read_model, 'message_store');
BEGIN
  EXECUTE format(
    $sql$
      INSERT INTO %I.video_views AS known (video_id, views)
      SELECT
        coalesce(m.data::jsonb ->> 'videoId', message_store.id(m.stream_name), m.stream_name),
        count(*)
      FROM unnest($1) m
      GROUP BY 1
      ORDER BY 1
      ON CONFLICT (video_id) DO UPDATE SET views = known.views + excluded.views
    $sql$,
    read_model)
  USING messages;
  EXECUTE format(
    $sql$
      UPDATE %1$I.read_model_pages page
      SET page_data = jsonb_build_object(
        'videos', (
          SELECT coalesce(
            jsonb_agg(jsonb_build_object('videoId', most.video_id, 'views', most.views)
              ORDER BY most.views DESC, most.video_id), '[]')
          FROM (
            SELECT v.video_id, v.views
            FROM %1$I.video_views v
            ORDER BY v.views DESC, v.video_id
            LIMIT 10
          ) most
        ),
        'recent', (
          SELECT coalesce(
            jsonb_agg(last.viewing ORDER BY last.viewing -> 'globalPosition' DESC), '[]')
          FROM (
            SELECT viewing
            FROM (
              SELECT viewing
              FROM jsonb_path_query(page.page_data,
                '$.recent[*] ? (@.globalPosition.type() == "number")') viewing
              UNION ALL (
                SELECT jsonb_build_object(
                  'videoId',
                  coalesce(m.data::jsonb ->> 'videoId', message_store.id(m.stream_name), m.stream_name),
                  'globalPosition', m.global_position,
                  'time', to_char(m.time, 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'))
                FROM unnest($1) m
                ORDER BY m.global_position DESC
                LIMIT 10
              )
            ) known
            ORDER BY viewing -> 'globalPosition' DESC
            LIMIT 10
          ) last
        ))
      WHERE page_name = 'most-watched'
    $sql$,
    read_model)
  USING messages;
END
$$;

COMMENT ON FUNCTION message_store.count_views_per_video(message_store.message[]) IS
  'A handler: counts the viewings of each video (data.videoId, else the stream''s id) in video_views and shows the ten most watched and the ten last viewings on the page most-watched: {"videos": [{"videoId", "views"}], "recent": [{"videoId", "globalPosition", "time"}]}.';

CREATE OR REPLACE FUNCTION message_store.register_viewing(command message_store.message) RETURNS void
LANGUAGE sql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
  SELECT message_store.write_messages(
    ('viewings-' || (command.data::jsonb ->> 'videoId'))::varchar,
    jsonb_build_array(jsonb_build_object('type', 'VideoViewed', 'data', command.data::jsonb)));
$$;

COMMENT ON FUNCTION message_store.register_viewing(message_store.message) IS
  'The handler of a service: answers the command RegisterViewing {"userId", "videoId"} with the event VideoViewed in the video''s stream. Its id derives from the command, so the event exists once; its metadata says what caused it.';

REVOKE EXECUTE ON FUNCTION
  message_store.count_views_per_video(message_store.message[]),
  message_store.ensure_most_watched(),
  message_store.register_viewing(message_store.message)
FROM PUBLIC;

GRANT EXECUTE ON FUNCTION
  message_store.count_views_per_video(message_store.message[]),
  message_store.ensure_most_watched(),
  message_store.register_viewing(message_store.message)
TO message_store;
