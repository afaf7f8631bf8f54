CREATE FUNCTION message_store.get_settled_messages(
  category varchar,
  "position" bigint,
  batch_size bigint,
  correlation varchar,
  consumer_group_member bigint,
  consumer_group_size bigint,
  at_least bigint,
  map bigint
) RETURNS SETOF message_store.message
LANGUAGE c VOLATILE
AS 'MODULE_PATHNAME', 'get_settled_messages';

COMMENT ON FUNCTION message_store.get_settled_messages(varchar, bigint, bigint, varchar, bigint, bigint, bigint, bigint) IS
  'What a reader of several shards asks each: messages of a category, or with NULL of all, and behind them a row that has only a global position: up to there these are all, and settled. What is drawn here afterwards lies behind at_least, the last position that any shard has drawn. Errors: as get_category_messages; 25006; 40001 where the map has another version; 55000 where this is no shard.';
