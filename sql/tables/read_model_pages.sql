CREATE TABLE message_store.read_model_pages (
  page_name varchar PRIMARY KEY,
  page_data jsonb DEFAULT '{}'
);

COMMENT ON TABLE message_store.read_model_pages IS
  'Read models a page loads by primary key: one row holds all that the page shows.';
COMMENT ON COLUMN message_store.read_model_pages.page_name IS 'The page, such as home.';
COMMENT ON COLUMN message_store.read_model_pages.page_data IS 'What the page shows.';

-- Read models can be made anew from the messages: who handles messages may write them.
GRANT SELECT, INSERT, UPDATE, DELETE ON message_store.read_model_pages TO message_store;
GRANT SELECT ON message_store.read_model_pages TO message_store_viewer;
