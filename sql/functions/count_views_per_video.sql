-- Counts first, then shows the most watched: the page is one row, the counts are a table of their
-- own. The table's order by views is an index, so that ten of a million videos are ten rows.
-- The last viewings are those of the highest positions, in whatever order messages come: members of
-- a group and parked messages that are handled late make the same page.
CREATE FUNCTION message_store.count_views_per_video(messages message_store.message[]) RETURNS void
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
