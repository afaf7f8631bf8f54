CREATE TABLE message_store.video_views (
  video_id varchar PRIMARY KEY,
  views bigint NOT NULL
);

CREATE INDEX video_views_most ON message_store.video_views (views DESC, video_id);

COMMENT ON TABLE message_store.video_views IS
  'How often each video was watched: the read model behind the page most-watched.';
COMMENT ON COLUMN message_store.video_views.video_id IS 'The video.';
COMMENT ON COLUMN message_store.video_views.views IS 'How often it was watched.';

GRANT SELECT, INSERT, UPDATE, DELETE ON message_store.video_views TO message_store;
GRANT SELECT ON message_store.video_views TO message_store_viewer;
