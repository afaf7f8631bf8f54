-- A router: the functions of a store, each of which asks the shards by PL/Proxy. It has no data and no
-- tables; message_store.use_shards() tells it where the shards are. What it knows of names (hashes, ids,
-- categories) it has from the library of the extension message_store, so no rule stands here twice.
-- Names are qualified everywhere: search_path is the caller's.

-- Roles belong to the cluster: another database, or a Message DB, may have made this one.
DO $$
BEGIN
  CREATE ROLE message_store LOGIN;
EXCEPTION
  WHEN duplicate_object OR unique_violation THEN NULL;
END
$$;

CREATE SCHEMA message_store_router;

COMMENT ON SCHEMA message_store_router IS 'How the router asks its shards. The functions of message_store call what is here; who calls it himself does without their checks.';

CREATE TYPE message_store.message AS (
  id varchar,
  stream_name varchar,
  type varchar,
  position bigint,
  global_position bigint,
  data varchar,
  metadata varchar,
  time timestamp
);

CREATE TYPE message_store.new_message AS (
  stream_name varchar,
  type varchar,
  data jsonb,
  metadata jsonb,
  id varchar,
  expected_version bigint
);

CREATE TYPE message_store.written_message AS (
  id varchar,
  stream_name varchar,
  position bigint,
  global_position bigint,
  is_duplicate boolean
);

CREATE FUNCTION message_store.cardinal_id(stream_name varchar) RETURNS varchar
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS '$libdir/message_store', 'cardinal_id';

COMMENT ON FUNCTION message_store.cardinal_id(varchar) IS
  'The id up to its first plus sign: 123 for account-123+456. NULL for a category. Consumer groups share out streams by it. Message DB: cardinal_id.';

CREATE FUNCTION message_store.category(stream_name varchar) RETURNS varchar
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS '$libdir/message_store', 'category';

COMMENT ON FUNCTION message_store.category(varchar) IS
  'The part of a stream name before its first dash: account for account-123. Without a dash, it is the whole name. Message DB: category.';

CREATE FUNCTION message_store.hash_64(value varchar) RETURNS bigint
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS '$libdir/message_store', 'hash_64';

COMMENT ON FUNCTION message_store.hash_64(varchar) IS
  'The first eight bytes of the MD5 sum, as a signed number. Message DB: hash_64.';

CREATE FUNCTION message_store.id(stream_name varchar) RETURNS varchar
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS '$libdir/message_store', 'id';

COMMENT ON FUNCTION message_store.id(varchar) IS
  'The part of a stream name after its first dash: 123 for account-123. NULL for a category. Message DB: id.';

CREATE FUNCTION message_store.is_category(stream_name varchar) RETURNS boolean
LANGUAGE c IMMUTABLE PARALLEL SAFE
AS '$libdir/message_store', 'is_category';

COMMENT ON FUNCTION message_store.is_category(varchar) IS
  'Whether the name has no dash: true for account, false for account-123. True for NULL. Message DB: is_category.';

CREATE FUNCTION message_store.message_store_version() RETURNS varchar
LANGUAGE c VOLATILE
AS '$libdir/message_store', 'message_store_version';

COMMENT ON FUNCTION message_store.message_store_version() IS
  'The version of Message DB whose interface this is: 1.3.0. The version of the extension itself is in pg_extension. Message DB: message_store_version.';

CREATE FUNCTION message_store.shard_of(stream_name varchar, shards bigint) RETURNS bigint
LANGUAGE c IMMUTABLE PARALLEL SAFE
AS '$libdir/message_store', 'shard_of';

COMMENT ON FUNCTION message_store.shard_of(varchar, bigint) IS
  'The number of the shard, of so many, that a stream lives on: the hash of its cardinal id, without its sign, divided by them; 0 for a name without an id. Consumer groups of Message DB divide in the same way. Errors: 22023.';

-- Refuses what could be done by half: PL/Proxy commits each call by itself.
CREATE FUNCTION message_store_router.require_alone(command varchar) RETURNS void
LANGUAGE c VOLATILE
AS '$libdir/message_store', 'require_alone';

COMMENT ON FUNCTION message_store_router.require_alone(varchar) IS
  'Errors: 25006 in a read-only transaction; 0A000 in a transaction block, and after another write of the same transaction.';

CREATE FUNCTION message_store_router.require_write(command varchar) RETURNS void
LANGUAGE plpgsql VOLATILE
AS $$
BEGIN
  IF pg_catalog.current_setting('transaction_read_only')::pg_catalog.bool
    OR coalesce(pg_catalog.current_setting('message_store_router.commit_each_write', true), '') OPERATOR(pg_catalog.<>) 'on'
  THEN
    PERFORM message_store_router.require_alone($1);
  END IF;
END
$$;

COMMENT ON FUNCTION message_store_router.require_write(varchar) IS
  'Whether a write may go out now. SET message_store_router.commit_each_write = on allows it everywhere: each write then is committed at once, whatever becomes of the transaction around it.';

-- PL/Proxy, whose errors are told as the shards told them.
CREATE FUNCTION message_store_router.ask_shards() RETURNS language_handler
LANGUAGE c
AS '$libdir/message_store', 'ask_shards';

COMMENT ON FUNCTION message_store_router.ask_shards() IS 'Runs the functions of the language message_store_router.';

CREATE FUNCTION message_store_router.check_function(function oid) RETURNS void
LANGUAGE c
AS '$libdir/message_store', 'check_function';

COMMENT ON FUNCTION message_store_router.check_function(oid) IS 'Checks the body of a function of the language message_store_router.';

CREATE LANGUAGE message_store_router HANDLER message_store_router.ask_shards VALIDATOR message_store_router.check_function;

COMMENT ON LANGUAGE message_store_router IS
  'PL/Proxy, with the errors of shards as those raised them. Errors besides: 08006 where a shard does not answer.';

CREATE FUNCTION message_store_router.known() RETURNS bigint[]
LANGUAGE plpgsql STABLE
AS $$
BEGIN
  RAISE EXCEPTION 'this router does not know its shards' USING
    ERRCODE = 'object_not_in_prerequisite_state',
    HINT = 'SELECT message_store.use_shards(addresses, map, role); as the role that made the extension.';
END
$$;

COMMENT ON FUNCTION message_store_router.known() IS
  'How many shards there are, and the version of their map: both at once, since a statement may look while use_shards() replaces it.';

CREATE FUNCTION message_store_router.shards() RETURNS bigint
LANGUAGE sql STABLE
AS $$ SELECT (message_store_router.known())[1] $$;

COMMENT ON FUNCTION message_store_router.shards() IS 'How many shards there are.';

CREATE FUNCTION message_store_router.map() RETURNS bigint
LANGUAGE sql STABLE
AS $$ SELECT (message_store_router.known())[2] $$;

COMMENT ON FUNCTION message_store_router.map() IS 'The version of the map.';

-- Not a number of PL/Proxy's: its bit mask of a negative hash is not Message DB's remainder.
CREATE FUNCTION message_store_router.shard(stream_name varchar) RETURNS integer
LANGUAGE sql STABLE
AS $$
  SELECT coalesce(message_store.shard_of($1, message_store_router.shards()), 0)::pg_catalog.int4
$$;

COMMENT ON FUNCTION message_store_router.shard(varchar) IS 'The shard of a stream; the first one for NULL.';

CREATE FUNCTION message_store.use_shards(
  addresses text[],
  map bigint DEFAULT 1,
  role varchar DEFAULT 'message_store'
) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  shards constant bigint := coalesce(cardinality(addresses), 0);
  options text;
  setting text[];
  found record;
BEGIN
  IF getdatabaseencoding() <> 'UTF8' THEN
    RAISE EXCEPTION 'a router needs a database with the encoding UTF8, and this one has %', getdatabaseencoding() USING
      ERRCODE = 'feature_not_supported',
      HINT = 'Make another one: CREATE DATABASE ... TEMPLATE template0 ENCODING ''UTF8''.';
  END IF;
  IF shards NOT BETWEEN 1 AND 1024 OR array_position(addresses, NULL) IS NOT NULL THEN
    RAISE EXCEPTION 'addresses must be from 1 to 1024 connection strings' USING
      ERRCODE = 'invalid_parameter_value',
      HINT = 'One for each shard, in the order of their numbers: ARRAY[''host=db0 dbname=shop'', ...].';
  END IF;
  IF map IS NULL OR map < 1 THEN
    RAISE EXCEPTION 'map must be 1 or more' USING
      ERRCODE = 'invalid_parameter_value',
      HINT = 'Pass the version that the table shard has on every shard.';
  END IF;
  IF EXISTS (SELECT FROM unnest(addresses) AS a (address) WHERE a.address ~* '(\mpassword\s*=|^\s*postgres(ql)?://)') THEN
    RAISE EXCEPTION 'addresses must be keywords and values, without passwords' USING
      ERRCODE = 'invalid_parameter_value',
      HINT = 'Such as host=db0 dbname=shop. Everybody can read them; put a password into the user mapping: ALTER USER MAPPING FOR PUBLIC SERVER message_store_shards OPTIONS (ADD password ''...'').';
  END IF;
  -- PL/Proxy waits for who is gone without a word: longer than statement_timeout, for as long as TCP does.
  FOREACH setting SLICE 1 IN ARRAY ARRAY[['tcp_user_timeout', '15000'], ['keepalives_idle', '10'], ['keepalives_interval', '3']] LOOP
    SELECT array_agg(CASE WHEN a.address ~ format('\m%s\s*=', setting[1]) THEN a.address
                          ELSE format('%s %s=%s', a.address, setting[1], setting[2]) END ORDER BY a.number)
    INTO addresses FROM unnest(addresses) WITH ORDINALITY AS a (address, number);
  END LOOP;
  -- PL/Proxy counts in modulo, since their number need not be a power of two.
  IF EXISTS (SELECT FROM pg_foreign_server WHERE srvname = 'message_store_shards') THEN
    SELECT string_agg(
      CASE WHEN n.number >= shards THEN format('DROP p%s', n.number)
           ELSE format('%s p%s %L', CASE WHEN o.option IS NULL THEN 'ADD' ELSE 'SET' END, n.number,
                       addresses[n.number + 1]) END, ', ')
    INTO options
    FROM (SELECT generate_series(0, shards - 1) AS number
          UNION SELECT substr(p.option_name, 2)::bigint
            FROM pg_foreign_server s, pg_options_to_table(s.srvoptions) p
           WHERE s.srvname = 'message_store_shards' AND p.option_name ~ '^p[0-9]+$') n
    LEFT JOIN (SELECT p.option_name AS option
                 FROM pg_foreign_server s, pg_options_to_table(s.srvoptions) p
                WHERE s.srvname = 'message_store_shards') o ON o.option = format('p%s', n.number);
    EXECUTE format('ALTER SERVER message_store_shards OPTIONS (%s)', options);
  ELSE
    SELECT string_agg(format('p%s %L', a.number - 1, a.address), ', ' ORDER BY a.number) INTO options
    FROM unnest(addresses) WITH ORDINALITY AS a (address, number);
    EXECUTE format('CREATE SERVER message_store_shards FOREIGN DATA WRAPPER plproxy '
      'OPTIONS (modular_mapping ''1'', %s)', options);
    EXECUTE format('CREATE USER MAPPING FOR PUBLIC SERVER message_store_shards OPTIONS (user %L)', role);
    GRANT USAGE ON FOREIGN SERVER message_store_shards TO message_store;
  END IF;
  EXECUTE format('CREATE OR REPLACE FUNCTION message_store_router.known() RETURNS bigint[] '
    'LANGUAGE sql IMMUTABLE PARALLEL SAFE AS ''SELECT ARRAY[%s, %s]::bigint[]''', shards, map);
  FOR found IN SELECT s.shard, s.error FROM message_store_router.shard_status() s WHERE s.error IS NOT NULL LOOP
    IF starts_with(found.error, 'it is ') THEN
      RAISE EXCEPTION 'addresses[%] does not lead to shard % of % in map %: %',
        found.shard + 1, found.shard, shards, map, found.error USING
        ERRCODE = 'object_not_in_prerequisite_state',
        HINT = 'Name the shards in the order of their numbers. SELECT number, shards, map FROM message_store.shard; on each says which it is.';
    END IF;
    RAISE WARNING 'shard % does not answer: %', found.shard, found.error;
  END LOOP;
END
$$;

COMMENT ON FUNCTION message_store.use_shards(text[], bigint, varchar) IS
  'Tells the router where the shards are, in the order of their numbers, by the map of this version; role: as whom it asks them, at first. The server message_store_shards then has the addresses, and a user mapping the role, where a password can be added. What an address does not say of it: a shard that is gone without a word is noticed in 15 seconds (tcp_user_timeout, keepalives_idle, keepalives_interval). Errors: 0A000 (the encoding of the database), 22023, 42501.';

-- As the table of this name in a shard, so that who routes by himself asks a router or a shard alike.
CREATE VIEW message_store.shard AS
SELECT
  NULL::bigint AS number,
  message_store_router.shards() AS shards,
  message_store_router.map() AS map,
  (SELECT pg_catalog.array_agg(p.option_value ORDER BY pg_catalog.substr(p.option_name, 2)::pg_catalog.int4)
     FROM pg_catalog.pg_foreign_server s, pg_catalog.pg_options_to_table(s.srvoptions) p
    WHERE s.srvname OPERATOR(pg_catalog.=) 'message_store_shards'
      AND p.option_name OPERATOR(pg_catalog.~) '^p[0-9]+$') AS addresses;

COMMENT ON VIEW message_store.shard IS
  'How many shards there are, the version of their map, and where they are, in the order of their numbers. number is NULL: this is a router.';

GRANT SELECT ON message_store.shard TO message_store;

CREATE FUNCTION message_store_router.advance_position(target bigint) RETURNS SETOF bigint
LANGUAGE message_store_router VOLATILE
AS $$ CLUSTER 'message_store_shards'; RUN ON ALL; TARGET message_store.advance_position; $$;

COMMENT ON FUNCTION message_store_router.advance_position(bigint) IS 'The last position that each shard has drawn.';

CREATE FUNCTION message_store_router.write_message(id varchar, stream_name varchar, "type" varchar, data jsonb, metadata jsonb, expected_version bigint) RETURNS bigint
LANGUAGE message_store_router VOLATILE
AS $$ CLUSTER 'message_store_shards'; RUN ON message_store_router.shard(stream_name); TARGET message_store.write_message; $$;

COMMENT ON FUNCTION message_store_router.write_message(varchar, varchar, varchar, jsonb, jsonb, bigint) IS 'Asks the shard.';

CREATE FUNCTION message_store.write_message(
  id varchar,
  stream_name varchar,
  "type" varchar,
  data jsonb,
  metadata jsonb DEFAULT NULL,
  expected_version bigint DEFAULT NULL
) RETURNS bigint
LANGUAGE plpgsql VOLATILE
AS $$
BEGIN
  PERFORM message_store_router.require_write('write_message()');
  RETURN message_store_router.write_message($1, $2, $3, $4, $5, $6);
END
$$;

COMMENT ON FUNCTION message_store.write_message(varchar, varchar, varchar, jsonb, jsonb, bigint) IS
  'As in a store, on the shard of the stream. Committed at once. Errors besides: 0A000 in a transaction block, 40001 where the shards have changed.';

CREATE FUNCTION message_store_router.write_messages(stream_name varchar, messages jsonb, expected_version bigint, on_duplicate varchar) RETURNS SETOF message_store.written_message
LANGUAGE message_store_router VOLATILE
AS $$ CLUSTER 'message_store_shards'; RUN ON message_store_router.shard(stream_name); TARGET message_store.write_messages; $$;

COMMENT ON FUNCTION message_store_router.write_messages(varchar, jsonb, bigint, varchar) IS 'Asks the shard.';

CREATE FUNCTION message_store.write_messages(
  stream_name varchar,
  messages jsonb,
  expected_version bigint DEFAULT NULL,
  on_duplicate varchar DEFAULT 'error'
) RETURNS SETOF message_store.written_message
LANGUAGE plpgsql VOLATILE
AS $$
BEGIN
  PERFORM message_store_router.require_write('write_messages()');
  RETURN QUERY SELECT * FROM message_store_router.write_messages($1, $2, $3, $4);
END
$$;

COMMENT ON FUNCTION message_store.write_messages(varchar, jsonb, bigint, varchar) IS
  'As in a store, on the shard of the stream: all of them, or none. Committed at once.';

CREATE FUNCTION message_store_router.write_messages(stream_name varchar, messages varchar) RETURNS SETOF message_store.written_message
LANGUAGE message_store_router VOLATILE
AS $$ CLUSTER 'message_store_shards'; RUN ON message_store_router.shard(stream_name); TARGET message_store.write_messages; $$;

COMMENT ON FUNCTION message_store_router.write_messages(varchar, varchar) IS 'Asks the shard.';

CREATE FUNCTION message_store.write_messages(
  stream_name varchar,
  messages varchar
) RETURNS SETOF message_store.written_message
LANGUAGE plpgsql VOLATILE
AS $$
BEGIN
  PERFORM message_store_router.require_write('write_messages()');
  RETURN QUERY SELECT * FROM message_store_router.write_messages($1, $2);
END
$$;

COMMENT ON FUNCTION message_store.write_messages(varchar, varchar) IS
  'As in a store, for an untyped literal of messages.';

CREATE FUNCTION message_store_router.get_stream_messages(stream_name varchar, "position" bigint, batch_size bigint, condition varchar) RETURNS SETOF message_store.message
LANGUAGE message_store_router VOLATILE
AS $$ CLUSTER 'message_store_shards'; RUN ON message_store_router.shard(stream_name); TARGET message_store.get_stream_messages; $$;

COMMENT ON FUNCTION message_store_router.get_stream_messages(varchar, bigint, bigint, varchar) IS 'Asks the shard.';

CREATE FUNCTION message_store.get_stream_messages(
  stream_name varchar,
  "position" bigint DEFAULT 0,
  batch_size bigint DEFAULT 1000,
  condition varchar DEFAULT NULL
) RETURNS SETOF message_store.message
LANGUAGE plpgsql VOLATILE
AS $$
BEGIN
  RETURN QUERY SELECT * FROM message_store_router.get_stream_messages($1, $2, $3, $4);
END
$$;

COMMENT ON FUNCTION message_store.get_stream_messages(varchar, bigint, bigint, varchar) IS
  'As in a store, from the shard of the stream.';

CREATE FUNCTION message_store_router.get_last_stream_message(stream_name varchar, type varchar) RETURNS SETOF message_store.message
LANGUAGE message_store_router VOLATILE
AS $$ CLUSTER 'message_store_shards'; RUN ON message_store_router.shard(stream_name); TARGET message_store.get_last_stream_message; $$;

COMMENT ON FUNCTION message_store_router.get_last_stream_message(varchar, varchar) IS 'Asks the shard.';

CREATE FUNCTION message_store.get_last_stream_message(
  stream_name varchar,
  type varchar DEFAULT NULL
) RETURNS SETOF message_store.message
LANGUAGE plpgsql VOLATILE
AS $$
BEGIN
  RETURN QUERY SELECT * FROM message_store_router.get_last_stream_message($1, $2);
END
$$;

COMMENT ON FUNCTION message_store.get_last_stream_message(varchar, varchar) IS
  'As in a store, from the shard of the stream.';

CREATE FUNCTION message_store.stream_version(stream_name varchar) RETURNS bigint
LANGUAGE message_store_router VOLATILE
AS $$ CLUSTER 'message_store_shards'; RUN ON message_store_router.shard(stream_name); TARGET message_store.stream_version; $$;

COMMENT ON FUNCTION message_store.stream_version(varchar) IS
  'As in a store, from the shard of the stream.';

CREATE FUNCTION message_store.acquire_lock(stream_name varchar) RETURNS bigint
LANGUAGE message_store_router VOLATILE
AS $$ CLUSTER 'message_store_shards'; RUN ON message_store_router.shard(stream_name); TARGET message_store.acquire_lock; $$;

COMMENT ON FUNCTION message_store.acquire_lock(varchar) IS
  'As in a store; but the lock is given back at once, since no transaction goes through a router. Writes need none.';

CREATE FUNCTION message_store_router.write_messages(shard integer, messages message_store.new_message[], on_duplicate varchar)
RETURNS SETOF message_store.written_message
LANGUAGE message_store_router VOLATILE
AS $$ CLUSTER 'message_store_shards'; RUN ON shard; SELECT w.* FROM message_store.write_messages(messages, on_duplicate) w; $$;

COMMENT ON FUNCTION message_store_router.write_messages(integer, message_store.new_message[], varchar) IS 'Asks the shard.';

CREATE FUNCTION message_store.write_messages(
  messages message_store.new_message[],
  on_duplicate varchar DEFAULT 'error'
) RETURNS SETOF message_store.written_message
LANGUAGE plpgsql VOLATILE
AS $$
DECLARE
  shards integer[];
BEGIN
  SELECT pg_catalog.array_agg(DISTINCT message_store_router.shard(m.stream_name)) INTO shards
  FROM pg_catalog.unnest($1) m;
  IF pg_catalog.cardinality(shards) OPERATOR(pg_catalog.>) 1 THEN
    RAISE EXCEPTION 'the messages of one call live on several shards' USING
      ERRCODE = 'feature_not_supported',
      HINT = 'What has one cardinal id (account-7, account:command-7, account-7+retry) is on one shard. Write the others in calls of their own, or from a handler of the first.';
  END IF;
  PERFORM message_store_router.require_write('write_messages()');
  RETURN QUERY SELECT * FROM message_store_router.write_messages(coalesce(shards[1], 0), $1, $2);
END
$$;

COMMENT ON FUNCTION message_store.write_messages(message_store.new_message[], varchar) IS
  'As in a store, where all streams are on one shard; else error 0A000. Committed at once.';

CREATE FUNCTION message_store_router.get_settled_messages(
  category varchar, "position" bigint, batch_size bigint, correlation varchar,
  consumer_group_member bigint, consumer_group_size bigint, at_least bigint, map bigint
) RETURNS SETOF message_store.message
LANGUAGE message_store_router VOLATILE
AS $$ CLUSTER 'message_store_shards'; RUN ON ALL; TARGET message_store.get_settled_messages; $$;

COMMENT ON FUNCTION message_store_router.get_settled_messages(varchar, bigint, bigint, varchar, bigint, bigint, bigint, bigint) IS
  'Asks all shards. One that fails fails all.';

CREATE FUNCTION message_store_router.get_group_messages(
  shard integer, category varchar, "position" bigint, batch_size bigint, correlation varchar,
  consumer_group_member bigint, consumer_group_size bigint, map bigint
) RETURNS SETOF message_store.message
LANGUAGE message_store_router VOLATILE
AS $$
  CLUSTER 'message_store_shards';
  RUN ON shard;
  SELECT m.* FROM message_store.get_settled_messages($2, $3, $4, $5, $6, $7, 0, $8) m;
$$;

COMMENT ON FUNCTION message_store_router.get_group_messages(integer, varchar, bigint, bigint, varchar, bigint, bigint, bigint) IS
  'Asks the one shard that a member of a group reads whose size is a multiple of the shards.';

CREATE FUNCTION message_store_router.get_category_messages(
  shard integer, category varchar, "position" bigint, batch_size bigint, correlation varchar,
  consumer_group_member bigint, consumer_group_size bigint, condition varchar
) RETURNS SETOF message_store.message
LANGUAGE message_store_router VOLATILE
AS $$
  CLUSTER 'message_store_shards';
  RUN ON shard;
  SELECT m.* FROM message_store.get_category_messages($2, $3, $4, $5, $6, $7, $8) m;
$$;

COMMENT ON FUNCTION message_store_router.get_category_messages(integer, varchar, bigint, bigint, varchar, bigint, bigint, varchar) IS
  'Asks one shard, which has something to say of these arguments.';

CREATE FUNCTION message_store_router.merged(
  category varchar, "position" bigint, batch_size bigint, correlation varchar,
  consumer_group_member bigint, consumer_group_size bigint
) RETURNS SETOF message_store.message
LANGUAGE c VOLATILE
AS '$libdir/message_store', 'merged';

COMMENT ON FUNCTION message_store_router.merged(varchar, bigint, bigint, varchar, bigint, bigint) IS
  'Messages of all shards in the order of their global positions, none of which another can still come before.';

CREATE FUNCTION message_store.get_category_messages(
  category varchar,
  "position" bigint DEFAULT 1,
  batch_size bigint DEFAULT 1000,
  correlation varchar DEFAULT NULL,
  consumer_group_member bigint DEFAULT NULL,
  consumer_group_size bigint DEFAULT NULL,
  condition varchar DEFAULT NULL
) RETURNS SETOF message_store.message
LANGUAGE plpgsql VOLATILE
AS $$
#variable_conflict use_variable
DECLARE
  known constant bigint[] := message_store_router.known();
BEGIN
  -- What a shard refuses, or answers with nothing, it says itself.
  IF $1 IS NULL OR NOT message_store.is_category($1) OR NOT message_store.is_category(coalesce($4, ''))
    OR $3 OPERATOR(pg_catalog.<) -1 OR ($5 IS NULL) OPERATOR(pg_catalog.<>) ($6 IS NULL)
    OR $6 OPERATOR(pg_catalog.<) 1 OR $5 OPERATOR(pg_catalog.<) 0 OR $5 OPERATOR(pg_catalog.>=) $6
  THEN
    RETURN QUERY SELECT * FROM message_store_router.get_category_messages(0, $1, $2, $3, $4, $5, $6, $7);
    RETURN;
  END IF;
  IF $7 IS NOT NULL THEN
    RAISE EXCEPTION 'a condition is not supported over shards' USING
      ERRCODE = 'feature_not_supported', HINT = 'Ask each shard.';
  END IF;
  IF pg_catalog.mod($6, known[1]) OPERATOR(pg_catalog.=) 0 THEN
    RETURN QUERY SELECT m.* FROM message_store_router.get_group_messages(
      pg_catalog.mod($5, known[1])::pg_catalog.int4, $1, $2, $3, $4, $5, $6, known[2]) m
     WHERE m.stream_name IS NOT NULL;
    RETURN;
  END IF;
  RETURN QUERY SELECT * FROM message_store_router.merged($1, coalesce($2, 1), coalesce($3, 1000), $4, $5, $6);
END
$$;

COMMENT ON FUNCTION message_store.get_category_messages(varchar, bigint, bigint, varchar, bigint, bigint, varchar) IS
  'As in a store, over all shards in the order of their global positions. A member of a group whose size is a multiple of the number of shards reads one shard. Errors besides: 0A000 with a condition, 40001 where the shards have changed.';

CREATE FUNCTION message_store.get_all_messages("position" bigint DEFAULT 1, batch_size bigint DEFAULT 1000)
RETURNS SETOF message_store.message
LANGUAGE plpgsql VOLATILE
AS $$
BEGIN
  RETURN QUERY SELECT * FROM message_store_router.merged(NULL, coalesce($1, 1), coalesce($2, 1000), NULL, NULL, NULL);
END
$$;

COMMENT ON FUNCTION message_store.get_all_messages(bigint, bigint) IS
  'As in a store, over all shards in the order of their global positions.';

-- Each shard has a history of its own, so what is kept with a position in all of them are the epochs of all.

CREATE FUNCTION message_store_router.epoch(shard integer) RETURNS uuid
LANGUAGE message_store_router VOLATILE
AS $$ CLUSTER 'message_store_shards'; RUN ON shard; SELECT message_store.epoch(); $$;

COMMENT ON FUNCTION message_store_router.epoch(integer) IS 'Asks the shard.';

CREATE FUNCTION message_store.epoch() RETURNS varchar
LANGUAGE plpgsql VOLATILE
AS $$
BEGIN
  RETURN (SELECT pg_catalog.string_agg(message_store_router.epoch(number)::pg_catalog.text, ',' ORDER BY number)
            FROM pg_catalog.generate_series(0, message_store_router.shards()::pg_catalog.int4 OPERATOR(pg_catalog.-) 1) number);
END
$$;

COMMENT ON FUNCTION message_store.epoch() IS
  'The epochs of the shards, in the order of their numbers, with commas between: to be kept with every position that is kept outside.';

CREATE FUNCTION message_store_router.check_position(shard integer, epoch uuid, "position" bigint) RETURNS bigint
LANGUAGE message_store_router VOLATILE
AS $$ CLUSTER 'message_store_shards'; RUN ON shard; SELECT message_store.check_position($2, $3); $$;

COMMENT ON FUNCTION message_store_router.check_position(integer, uuid, bigint) IS 'Asks the shard.';

CREATE FUNCTION message_store.check_position(epoch varchar, "position" bigint) RETURNS bigint
LANGUAGE plpgsql VOLATILE
AS $$
DECLARE
  kept constant pg_catalog.uuid[] := pg_catalog.string_to_array($1, ',');
BEGIN
  IF pg_catalog.cardinality(kept) OPERATOR(pg_catalog.=) 0
    OR pg_catalog.mod(message_store_router.shards(), pg_catalog.cardinality(kept)) OPERATOR(pg_catalog.<>) 0
  THEN
    RAISE EXCEPTION 'epoch has % names, and there are % shards', pg_catalog.cardinality(kept), message_store_router.shards() USING
      ERRCODE = 'invalid_parameter_value', HINT = 'Pass what epoch() of a router to these shards returned.';
  END IF;
  -- A shard that came from another one since has its epochs.
  PERFORM message_store_router.check_position(
            number, kept[1 OPERATOR(pg_catalog.+) pg_catalog.mod(number, pg_catalog.cardinality(kept))], $2)
     FROM pg_catalog.generate_series(0, message_store_router.shards()::pg_catalog.int4 OPERATOR(pg_catalog.-) 1) number;
  RETURN $2;
END
$$;

COMMENT ON FUNCTION message_store.check_position(varchar, bigint) IS
  'As in a store, on every shard: returns a position in the order of all, if what lies before it is in all their logs for certain. Errors: 22023, 22P02 (no epoch), 55000.';

CREATE FUNCTION message_store_router.require_map(map bigint) RETURNS SETOF text
LANGUAGE message_store_router VOLATILE
AS $$ CLUSTER 'message_store_shards'; RUN ON ALL; SELECT message_store.require_map($1)::pg_catalog.text; $$;

COMMENT ON FUNCTION message_store_router.require_map(bigint) IS 'Asks all shards.';

-- Subscriptions run where the messages are: each shard has all of them. What is done to one is done on all
-- shards, on each by itself; where one fails, doing it again does what is missing. The map is asked for last, in the order of
-- locks that who grows a shard takes, and what was done with an old one is taken back.

CREATE FUNCTION message_store_router.create_subscription(subscriber_id varchar, source varchar, handlers jsonb, options jsonb, map bigint) RETURNS SETOF boolean
LANGUAGE message_store_router VOLATILE
AS $$ CLUSTER 'message_store_shards'; RUN ON ALL; SELECT d.done FROM (SELECT message_store.create_subscription(subscriber_id, source, handlers, options) AS done OFFSET 0) d WHERE message_store.require_map(map) IS NOT NULL; $$;

COMMENT ON FUNCTION message_store_router.create_subscription(varchar, varchar, jsonb, jsonb, bigint) IS 'Asks all shards.';

CREATE FUNCTION message_store.create_subscription(
  subscriber_id varchar,
  source varchar,
  handlers jsonb,
  options jsonb DEFAULT '{}'
) RETURNS boolean
LANGUAGE plpgsql VOLATILE
AS $$
BEGIN
  PERFORM message_store_router.require_write('create_subscription()');
  RETURN (SELECT pg_catalog.bool_or(made) FROM message_store_router.create_subscription($1, $2, $3, $4, message_store_router.map()) made);
END
$$;

COMMENT ON FUNCTION message_store.create_subscription(varchar, varchar, jsonb, jsonb) IS
  'As in a store, on all shards; true where one of them did not have it yet. Handlers and read models are those of each shard.';

CREATE FUNCTION message_store_router.alter_subscription(subscriber_id varchar, handlers jsonb, options jsonb, map bigint) RETURNS SETOF boolean
LANGUAGE message_store_router VOLATILE
AS $$ CLUSTER 'message_store_shards'; RUN ON ALL; SELECT d.done FROM (SELECT message_store.alter_subscription(subscriber_id, handlers, options) AS done OFFSET 0) d WHERE message_store.require_map(map) IS NOT NULL; $$;

COMMENT ON FUNCTION message_store_router.alter_subscription(varchar, jsonb, jsonb, bigint) IS 'Asks all shards.';

CREATE FUNCTION message_store.alter_subscription(
  subscriber_id varchar,
  handlers jsonb DEFAULT NULL,
  options jsonb DEFAULT NULL
) RETURNS boolean
LANGUAGE plpgsql VOLATILE
AS $$
BEGIN
  PERFORM message_store_router.require_write('alter_subscription()');
  RETURN (SELECT pg_catalog.bool_or(altered) FROM message_store_router.alter_subscription($1, $2, $3, message_store_router.map()) altered);
END
$$;

COMMENT ON FUNCTION message_store.alter_subscription(varchar, jsonb, jsonb) IS
  'As in a store, on all shards; true where it was another one on one of them.';

CREATE FUNCTION message_store_router.drop_subscription(subscriber_id varchar, map bigint) RETURNS SETOF boolean
LANGUAGE message_store_router VOLATILE
AS $$ CLUSTER 'message_store_shards'; RUN ON ALL; SELECT d.done FROM (SELECT message_store.drop_subscription(subscriber_id) AS done OFFSET 0) d WHERE message_store.require_map(map) IS NOT NULL; $$;

COMMENT ON FUNCTION message_store_router.drop_subscription(varchar, bigint) IS 'Asks all shards.';

CREATE FUNCTION message_store.drop_subscription(
  subscriber_id varchar
) RETURNS boolean
LANGUAGE plpgsql VOLATILE
AS $$
BEGIN
  PERFORM message_store_router.require_write('drop_subscription()');
  RETURN (SELECT pg_catalog.bool_or(dropped) FROM message_store_router.drop_subscription($1, message_store_router.map()) dropped);
END
$$;

COMMENT ON FUNCTION message_store.drop_subscription(varchar) IS
  'As in a store, on all shards; true where one of them had it.';

CREATE FUNCTION message_store_router.start(subscriber_id varchar, at_boot boolean, map bigint) RETURNS SETOF varchar
LANGUAGE message_store_router VOLATILE
AS $$ CLUSTER 'message_store_shards'; RUN ON ALL; SELECT d.done FROM (SELECT message_store.start(subscriber_id, at_boot) AS done OFFSET 0) d WHERE message_store.require_map(map) IS NOT NULL; $$;

COMMENT ON FUNCTION message_store_router.start(varchar, boolean, bigint) IS 'Asks all shards.';

CREATE FUNCTION message_store.start(
  subscriber_id varchar,
  at_boot boolean DEFAULT false
) RETURNS varchar
LANGUAGE plpgsql VOLATILE
AS $$
BEGIN
  PERFORM message_store_router.require_write('start()');
  RETURN (SELECT pg_catalog.min(state) FROM message_store_router.start($1, $2, message_store_router.map()) state);
END
$$;

COMMENT ON FUNCTION message_store.start(varchar, boolean) IS
  'As in a store, on all shards.';

CREATE FUNCTION message_store_router.stop(subscriber_id varchar, reason varchar, map bigint) RETURNS SETOF text
LANGUAGE message_store_router VOLATILE
AS $$ CLUSTER 'message_store_shards'; RUN ON ALL; SELECT d.done FROM (SELECT message_store.stop(subscriber_id, reason)::pg_catalog.text AS done OFFSET 0) d WHERE message_store.require_map(map) IS NOT NULL; $$;

COMMENT ON FUNCTION message_store_router.stop(varchar, varchar, bigint) IS 'Asks all shards.';

CREATE FUNCTION message_store.stop(
  subscriber_id varchar,
  reason varchar DEFAULT NULL
) RETURNS void
LANGUAGE plpgsql VOLATILE
AS $$
BEGIN
  PERFORM message_store_router.require_write('stop()');
  PERFORM * FROM message_store_router.stop($1, $2, message_store_router.map());
END
$$;

COMMENT ON FUNCTION message_store.stop(varchar, varchar) IS
  'As in a store, on all shards.';

CREATE FUNCTION message_store_router.pause(subscriber_id varchar, reason varchar, map bigint) RETURNS SETOF text
LANGUAGE message_store_router VOLATILE
AS $$ CLUSTER 'message_store_shards'; RUN ON ALL; SELECT d.done FROM (SELECT message_store.pause(subscriber_id, reason)::pg_catalog.text AS done OFFSET 0) d WHERE message_store.require_map(map) IS NOT NULL; $$;

COMMENT ON FUNCTION message_store_router.pause(varchar, varchar, bigint) IS 'Asks all shards.';

CREATE FUNCTION message_store.pause(
  subscriber_id varchar,
  reason varchar DEFAULT NULL
) RETURNS void
LANGUAGE plpgsql VOLATILE
AS $$
BEGIN
  PERFORM message_store_router.require_write('pause()');
  PERFORM * FROM message_store_router.pause($1, $2, message_store_router.map());
END
$$;

COMMENT ON FUNCTION message_store.pause(varchar, varchar) IS
  'As in a store, on all shards.';

CREATE FUNCTION message_store_router.reset(subscriber_id varchar, "position" bigint, reason varchar, map bigint)
RETURNS SETOF text
LANGUAGE message_store_router VOLATILE
AS $$ CLUSTER 'message_store_shards'; RUN ON ALL; SELECT d.done FROM (SELECT message_store.reset($1, $2, $3)::pg_catalog.text AS done OFFSET 0) d WHERE message_store.require_map($4) IS NOT NULL; $$;

COMMENT ON FUNCTION message_store_router.reset(varchar, bigint, varchar, bigint) IS 'Asks all shards.';

CREATE FUNCTION message_store.reset(
  subscriber_id varchar,
  "position" bigint,
  reason varchar
) RETURNS void
LANGUAGE plpgsql VOLATILE
AS $$
BEGIN
  PERFORM message_store_router.require_write('reset()');
  PERFORM * FROM message_store_router.reset($1, $2, $3, message_store_router.map());
END
$$;

COMMENT ON FUNCTION message_store.reset(varchar, bigint, varchar) IS
  'As in a store, on all shards: each goes back to this position in the order of all.';

CREATE FUNCTION message_store_router.rebuild(subscriber_id varchar, side_by_side boolean, map bigint)
RETURNS SETOF text
LANGUAGE message_store_router VOLATILE
AS $$ CLUSTER 'message_store_shards'; RUN ON ALL; SELECT d.done FROM (SELECT message_store.rebuild($1, $2)::pg_catalog.text AS done OFFSET 0) d WHERE message_store.require_map($3) IS NOT NULL; $$;

COMMENT ON FUNCTION message_store_router.rebuild(varchar, boolean, bigint) IS 'Asks all shards.';

CREATE FUNCTION message_store.rebuild(
  subscriber_id varchar,
  side_by_side boolean DEFAULT false
) RETURNS void
LANGUAGE plpgsql VOLATILE
AS $$
BEGIN
  PERFORM message_store_router.require_write('rebuild()');
  PERFORM * FROM message_store_router.rebuild($1, $2, message_store_router.map());
END
$$;

COMMENT ON FUNCTION message_store.rebuild(varchar, boolean) IS
  'As in a store, on all shards, each of what lives there.';

CREATE FUNCTION message_store_router.promote(subscriber_id varchar, may_empty boolean, dry boolean, map bigint)
RETURNS TABLE (read_model text, added bigint, removed bigint, changed bigint)
LANGUAGE message_store_router VOLATILE
AS $$ CLUSTER 'message_store_shards'; RUN ON ALL; SELECT d.* FROM (SELECT * FROM message_store.promote($1, $2, $3) OFFSET 0) d WHERE message_store.require_map($4) IS NOT NULL; $$;

COMMENT ON FUNCTION message_store_router.promote(varchar, boolean, boolean, bigint) IS 'Asks all shards.';

CREATE FUNCTION message_store.promote(
  subscriber_id varchar,
  may_empty boolean DEFAULT false,
  dry boolean DEFAULT false
) RETURNS TABLE (read_model text, added bigint, removed bigint, changed bigint)
LANGUAGE plpgsql VOLATILE
AS $$
#variable_conflict use_column
BEGIN
  PERFORM message_store_router.require_write('promote()');
  RETURN QUERY SELECT p.read_model, pg_catalog.sum(p.added)::pg_catalog.int8, pg_catalog.sum(p.removed)::pg_catalog.int8,
      pg_catalog.sum(p.changed)::pg_catalog.int8
    FROM message_store_router.promote($1, $2, $3, message_store_router.map()) p GROUP BY p.read_model;
END
$$;

COMMENT ON FUNCTION message_store.promote(varchar, boolean, boolean) IS
  'As in a store, on all shards; the rows that come, go and change are those of all.';

CREATE FUNCTION message_store_router.cancel_rebuild(subscriber_id varchar, map bigint)
RETURNS SETOF boolean
LANGUAGE message_store_router VOLATILE
AS $$ CLUSTER 'message_store_shards'; RUN ON ALL; SELECT d.done FROM (SELECT message_store.cancel_rebuild($1) AS done OFFSET 0) d WHERE message_store.require_map($2) IS NOT NULL; $$;

COMMENT ON FUNCTION message_store_router.cancel_rebuild(varchar, bigint) IS 'Asks all shards.';

CREATE FUNCTION message_store.cancel_rebuild(
  subscriber_id varchar
) RETURNS boolean
LANGUAGE plpgsql VOLATILE
AS $$
BEGIN
  PERFORM message_store_router.require_write('cancel_rebuild()');
  RETURN (SELECT pg_catalog.bool_or(had) FROM message_store_router.cancel_rebuild($1, message_store_router.map()) had);
END
$$;

COMMENT ON FUNCTION message_store.cancel_rebuild(varchar) IS
  'As in a store, on all shards; false where none has a copy.';

CREATE FUNCTION message_store_router.verify(subscriber_id varchar, all_columns boolean)
RETURNS TABLE (read_model text, difference text, expected jsonb, found jsonb)
LANGUAGE message_store_router VOLATILE
AS $$ CLUSTER 'message_store_shards'; RUN ON ALL; SELECT * FROM message_store.verify($1, $2); $$;

COMMENT ON FUNCTION message_store_router.verify(varchar, boolean) IS 'Asks all shards.';

CREATE FUNCTION message_store.verify(
  subscriber_id varchar,
  all_columns boolean DEFAULT false
) RETURNS TABLE (read_model text, difference text, expected jsonb, found jsonb)
LANGUAGE plpgsql VOLATILE
AS $$
#variable_conflict use_column
BEGIN
  RETURN QUERY SELECT * FROM message_store_router.verify($1, $2);
  -- It may have taken long, and found no row.
  PERFORM * FROM message_store_router.require_map(message_store_router.map());
END
$$;

COMMENT ON FUNCTION message_store.verify(varchar, boolean) IS
  'As in a store, on all shards: the rows that differ on any.';

CREATE FUNCTION message_store_router.retry_parked(subscriber_id varchar, global_position bigint, stream_name varchar, sqlstate varchar, global_positions bigint[], map bigint)
RETURNS SETOF bigint
LANGUAGE message_store_router VOLATILE
AS $$ CLUSTER 'message_store_shards'; RUN ON ALL; SELECT d.done FROM (SELECT message_store.retry_parked($1, $2, $3, $4, $5) AS done OFFSET 0) d WHERE message_store.require_map($6) IS NOT NULL; $$;

COMMENT ON FUNCTION message_store_router.retry_parked(varchar, bigint, varchar, varchar, bigint[], bigint) IS 'Asks all shards.';

CREATE FUNCTION message_store.retry_parked(
  subscriber_id varchar,
  global_position bigint DEFAULT NULL,
  stream_name varchar DEFAULT NULL,
  sqlstate varchar DEFAULT NULL,
  global_positions bigint[] DEFAULT NULL
) RETURNS bigint
LANGUAGE plpgsql VOLATILE
AS $$
BEGIN
  PERFORM message_store_router.require_write('retry_parked()');
  RETURN (SELECT pg_catalog.sum(retried) FROM message_store_router.retry_parked($1, $2, $3, $4, $5, message_store_router.map()) retried);
END
$$;

COMMENT ON FUNCTION message_store.retry_parked(varchar, bigint, varchar, varchar, bigint[]) IS
  'As in a store, on all shards; how many will be retried on all.';

CREATE FUNCTION message_store_router.discard_parked(subscriber_id varchar, reason varchar, global_position bigint, stream_name varchar, sqlstate varchar, global_positions bigint[], map bigint)
RETURNS SETOF bigint
LANGUAGE message_store_router VOLATILE
AS $$ CLUSTER 'message_store_shards'; RUN ON ALL; SELECT d.done FROM (SELECT message_store.discard_parked($1, $2, $3, $4, $5, $6) AS done OFFSET 0) d WHERE message_store.require_map($7) IS NOT NULL; $$;

COMMENT ON FUNCTION message_store_router.discard_parked(varchar, varchar, bigint, varchar, varchar, bigint[], bigint) IS 'Asks all shards.';

CREATE FUNCTION message_store.discard_parked(
  subscriber_id varchar,
  reason varchar,
  global_position bigint DEFAULT NULL,
  stream_name varchar DEFAULT NULL,
  sqlstate varchar DEFAULT NULL,
  global_positions bigint[] DEFAULT NULL
) RETURNS bigint
LANGUAGE plpgsql VOLATILE
AS $$
BEGIN
  PERFORM message_store_router.require_write('discard_parked()');
  RETURN (SELECT pg_catalog.sum(discarded) FROM message_store_router.discard_parked($1, $2, $3, $4, $5, $6, message_store_router.map()) discarded);
END
$$;

COMMENT ON FUNCTION message_store.discard_parked(varchar, varchar, bigint, varchar, varchar, bigint[]) IS
  'As in a store, on all shards; how many were discarded on all.';

CREATE FUNCTION message_store_router.parked_on_each(
  OUT subscriber_id varchar, OUT global_position bigint, OUT stream_name text, OUT type text, OUT status varchar,
  OUT attempts bigint, OUT sqlstate varchar, OUT error text, OUT parked_at timestamptz, OUT last_failed_at timestamptz,
  OUT reason text, OUT error_details jsonb, OUT can_retry boolean, OUT can_discard boolean
) RETURNS SETOF record
LANGUAGE message_store_router VOLATILE
AS $$ CLUSTER 'message_store_shards'; RUN ON ALL; SELECT * FROM message_store.parked_messages; $$;

COMMENT ON FUNCTION message_store_router.parked_on_each() IS 'Asks all shards.';

CREATE FUNCTION message_store_router.parked_messages(
  OUT subscriber_id varchar, OUT global_position bigint, OUT stream_name text, OUT type text, OUT status varchar,
  OUT attempts bigint, OUT sqlstate varchar, OUT error text, OUT parked_at timestamptz, OUT last_failed_at timestamptz,
  OUT reason text, OUT error_details jsonb, OUT can_retry boolean, OUT can_discard boolean
) RETURNS SETOF record
LANGUAGE plpgsql VOLATILE
AS $$
BEGIN
  RETURN QUERY SELECT * FROM message_store_router.parked_on_each();
  PERFORM * FROM message_store_router.require_map(message_store_router.map());
END
$$;

COMMENT ON FUNCTION message_store_router.parked_messages() IS 'Asks all shards.';

CREATE VIEW message_store.parked_messages AS SELECT * FROM message_store_router.parked_messages();

COMMENT ON VIEW message_store.parked_messages IS 'As in a store: what is parked on all shards.';

GRANT SELECT ON message_store.parked_messages TO message_store;

CREATE FUNCTION message_store_router.wait_for(subscriber_id varchar, global_position bigint, "timeout" interval, map bigint)
RETURNS SETOF boolean
LANGUAGE message_store_router VOLATILE
AS $$
  CLUSTER 'message_store_shards';
  RUN ON ALL;
  -- The map is looked at when it has waited, for as long as it waits others may change it.
  SELECT w.reached FROM (SELECT message_store.wait_for($1, $2, $3) AS reached OFFSET 0) w
   WHERE message_store.require_map($4) IS NOT NULL;
$$;

COMMENT ON FUNCTION message_store_router.wait_for(varchar, bigint, interval, bigint) IS 'Asks all shards.';

CREATE FUNCTION message_store.wait_for(
  subscriber_id varchar,
  global_position bigint,
  "timeout" interval DEFAULT '5 s'
) RETURNS boolean
LANGUAGE plpgsql VOLATILE
AS $$
BEGIN
  -- A shard where nothing is written comes to no position by itself; within a stride each has one of its own.
  PERFORM message_store_router.advance_position(
    LEAST($2, (SELECT pg_catalog.max(p) FROM message_store_router.advance_position(0) p)) OPERATOR(pg_catalog.+) 1023);
  RETURN (SELECT pg_catalog.bool_and(reached) FROM message_store_router.wait_for($1, $2, $3, message_store_router.map()) reached);
END
$$;

COMMENT ON FUNCTION message_store.wait_for(varchar, bigint, interval) IS
  'As in a store, on all shards. Errors besides: 25006, 40001 where the shards have changed.';

CREATE FUNCTION message_store_router.shard_status(
  shard integer,
  OUT number bigint, OUT shards bigint, OUT map bigint, OUT drawn bigint, OUT settled bigint,
  OUT held_by integer, OUT subscriptions bigint, OUT not_running bigint, OUT lag bigint, OUT parked bigint
) RETURNS SETOF record
LANGUAGE message_store_router VOLATILE
AS $$
  CLUSTER 'message_store_shards';
  RUN ON shard;
  SELECT s.shard AS number, s.shards, s.map, s.drawn, s.settled, s.held_by, s.subscriptions, s.not_running, s.lag, s.parked
    FROM message_store.shard_status s;
$$;

COMMENT ON FUNCTION message_store_router.shard_status(integer) IS 'Asks the shard.';

CREATE FUNCTION message_store_router.shard_status(
  OUT shard bigint, OUT shards bigint, OUT map bigint, OUT drawn bigint, OUT settled bigint,
  OUT held_by integer, OUT subscriptions bigint, OUT not_running bigint, OUT lag bigint, OUT parked bigint,
  OUT error text
) RETURNS SETOF record
LANGUAGE plpgsql VOLATILE
AS $$
#variable_conflict use_variable
DECLARE
  number integer;
BEGIN
  FOR number IN 0 .. message_store_router.shards() OPERATOR(pg_catalog.-) 1 LOOP
    BEGIN
      error := NULL;
      SELECT s.number, s.shards, s.map, s.drawn, s.settled, s.held_by, s.subscriptions, s.not_running, s.lag, s.parked
      INTO shard, shards, map, drawn, settled, held_by, subscriptions, not_running, lag, parked
      FROM message_store_router.shard_status(number) s;
      IF NOT FOUND THEN
        error := 'it is no shard';
      ELSIF shard OPERATOR(pg_catalog.<>) number OR shards OPERATOR(pg_catalog.<>) message_store_router.shards()
        OR map OPERATOR(pg_catalog.<>) message_store_router.map()
      THEN
        error := pg_catalog.format('it is shard %s of %s in map %s', shard, shards, map);
      END IF;
    EXCEPTION WHEN OTHERS THEN
      error := SQLERRM;
    END;
    IF error IS NOT NULL THEN
      SELECT NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL
      INTO shards, map, drawn, settled, held_by, subscriptions, not_running, lag, parked;
    END IF;
    shard := number;
    RETURN NEXT;
  END LOOP;
END
$$;

COMMENT ON FUNCTION message_store_router.shard_status() IS 'Asks each shard.';

CREATE VIEW message_store.shard_status AS SELECT * FROM message_store_router.shard_status();

COMMENT ON VIEW message_store.shard_status IS
  'A row for each shard: how far it has drawn, up to where its messages are settled and who holds that back (a process id there), its subscriptions, how many of them are not started, how many messages they have to handle, and how many are parked. error: why nothing is known of it; a sum over the others then is incomplete.';

GRANT SELECT ON message_store.shard_status TO message_store;

REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA message_store, message_store_router FROM PUBLIC;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA message_store, message_store_router TO message_store;
REVOKE EXECUTE ON FUNCTION message_store.use_shards(text[], bigint, varchar), message_store_router.ask_shards(), message_store_router.check_function(oid) FROM message_store;
GRANT USAGE ON SCHEMA message_store, message_store_router TO message_store;
