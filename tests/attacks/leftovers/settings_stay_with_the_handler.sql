-- Settings that a handler changes are as before afterwards.
-- m
CREATE FUNCTION m.h(bigint) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  PERFORM set_config('search_path', 'm', false), set_config('work_mem', '77MB', false), set_config('row_security', 'off', false), set_config('transform_null_equals', 'on', false);
END $$;
SELECT message_store.create_subscription('mo', 'mv', '{"$any": "m.h"}', '{"retries": 0}');
-- S
SELECT message_store.tick('mo');
-- check
SELECT current_setting('search_path') <> 'm' AND current_setting('work_mem') <> '77MB' AND current_setting('transform_null_equals') = 'off'
