COMMENT ON SCHEMA message_store_test IS
  'Test kit for handlers of message_store: given messages, when ticked, then the read model is ...';

CREATE FUNCTION message_store_test.given_nothing(subscriber_id varchar) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  is_aggregator boolean;
  head bigint;
BEGIN
  SELECT jsonb_array_length(coalesce(s.options -> 'read_model', '[]')) > 0 INTO is_aggregator
  FROM message_store.subscription_status s
  WHERE s.subscriber_id = given_nothing.subscriber_id
  LIMIT 1;
  IF is_aggregator THEN
    PERFORM message_store.rebuild(given_nothing.subscriber_id);
  END IF;
  -- Asked for an unknown subscription, it says so.
  PERFORM message_store.start(given_nothing.subscriber_id);
  SELECT coalesce(max(m.global_position), 0) INTO head FROM message_store.messages m;
  PERFORM message_store.skip(given_nothing.subscriber_id, head, 'a test begins');
  PERFORM message_store.discard_parked(given_nothing.subscriber_id, reason => 'a test begins');
END
$function$;

COMMENT ON FUNCTION message_store_test.given_nothing(varchar) IS
  'Empties the read model of a subscription as a rebuild does, calls its init, starts it, and lets it go on behind the last message, without those that are parked. For whoever may rebuild it, in a transaction that is rolled back. Errors: 42704, 42501, 55000 (a rebuild is under way).';

CREATE FUNCTION message_store_test.given_message(
  stream_name varchar,
  type varchar,
  data jsonb DEFAULT '{}',
  metadata jsonb DEFAULT NULL
) RETURNS bigint
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
  PERFORM message_store.write_message(gen_random_uuid()::varchar, stream_name, type, data, metadata);
  RETURN (SELECT m.global_position FROM message_store.get_last_stream_message(stream_name) m);
END
$function$;

COMMENT ON FUNCTION message_store_test.given_message(varchar, varchar, jsonb, jsonb) IS
  'Writes a message. Returns its global position. Errors: those of message_store.write_message.';

CREATE FUNCTION message_store_test.when_ticked(
  subscriber_id varchar,
  may_park boolean DEFAULT false
) RETURNS bigint
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  patience CONSTANT interval := '5 s';
  until timestamptz := clock_timestamp() + patience;
  member bigint;
  ticked message_store.tick_result;
  failure record;
  handled bigint := 0;
BEGIN
  FOR member IN
    SELECT s.member FROM message_store.subscription_status s
    WHERE s.subscriber_id = when_ticked.subscriber_id
    ORDER BY s.member
  LOOP
    LOOP
      -- What a tick warns of is what fails below.
      ticked := message_store.tick(when_ticked.subscriber_id, member => member);
      handled := handled + ticked.handled;
      IF ticked.parked > 0 AND NOT may_park THEN
        SELECT p.sqlstate, p.error, p.error_details INTO failure
        FROM message_store.parked_messages p
        WHERE p.subscriber_id = when_ticked.subscriber_id AND p.error IS NOT NULL
        ORDER BY p.last_failed_at DESC
        LIMIT 1;
        ticked.sqlstate := failure.sqlstate;
        ticked.error := failure.error;
        ticked.error_details := failure.error_details;
      END IF;
      IF ticked.sqlstate IS NOT NULL THEN
        RAISE EXCEPTION USING
          ERRCODE = ticked.sqlstate,
          MESSAGE = ticked.error,
          DETAIL = concat_ws(E'\n', ticked.error_details ->> 'detail', ticked.error_details ->> 'context'),
          HINT = coalesce(ticked.error_details ->> 'hint',
            format('A handler of subscription "%s" raised it.', when_ticked.subscriber_id));
      END IF;
      IF ticked.outcome IN ('stopped', 'paused') THEN
        RAISE EXCEPTION 'subscription "%" is %', when_ticked.subscriber_id, ticked.outcome USING
          ERRCODE = 'object_not_in_prerequisite_state',
          HINT = 'Begin the test with message_store_test.given_nothing().';
      END IF;
      EXIT WHEN ticked.outcome = 'idle';
      IF ticked.outcome IN ('busy', 'held_back') THEN
        IF clock_timestamp() > until THEN
          RAISE EXCEPTION 'subscription "%" is % for % already', when_ticked.subscriber_id,
            ticked.outcome, patience USING
            ERRCODE = 'object_in_use',
            HINT = 'Others write or tick in this database. Test in one of its own.';
        END IF;
        PERFORM pg_sleep(0.005);
      END IF;
    END LOOP;
  END LOOP;
  IF member IS NULL THEN
    -- It says that there is no such subscription.
    PERFORM message_store.tick(when_ticked.subscriber_id);
  END IF;
  RETURN handled;
END
$function$;

COMMENT ON FUNCTION message_store_test.when_ticked(varchar, boolean) IS
  'Ticks every member of a subscription until nothing is left to handle. Returns how many messages were handled. A failing handler''s error is raised; with may_park, not that of a message which is parked. Errors: those of handlers; 55000 (paused or stopped), 55006 (others tick it, or hold messages back, for 5 s), 42704, 25001.';

CREATE FUNCTION message_store_test.differences(
  read_model text,
  expected jsonb
) RETURNS TABLE (difference text, row_found jsonb)
LANGUAGE plpgsql
AS $function$
DECLARE
  query text;
BEGIN
  PERFORM message_store_test.require_rows(expected);
  IF read_model ~* '^\s*((select|with|table|values)\y|\()' THEN
    query := read_model;
  ELSIF to_regclass(read_model) IS NOT NULL THEN
    query := format('SELECT * FROM %s', to_regclass(read_model));
  ELSE
    RAISE EXCEPTION 'read_model is neither a table nor a query: %', coalesce(read_model, 'NULL') USING
      ERRCODE = 'undefined_table',
      HINT = 'Pass the name of a table on the search_path, or a SELECT.';
  END IF;
  RETURN QUERY EXECUTE format($query$
    WITH
      found AS MATERIALIZED (SELECT to_jsonb(r) AS whole FROM (%s) r),
      names AS MATERIALIZED (
        SELECT DISTINCT key FROM jsonb_array_elements($1) e, jsonb_object_keys(e) key),
      picked AS (
        SELECT CASE WHEN EXISTS (SELECT FROM names)
          THEN coalesce(
            (SELECT jsonb_object_agg(key, whole -> key) FROM names WHERE whole ? key), '{}')
          ELSE whole END
        FROM found)
    SELECT 'missing', missing.value
    FROM (SELECT value FROM jsonb_array_elements($1) EXCEPT ALL TABLE picked) missing
    UNION ALL
    SELECT 'unexpected', unexpected.*
    FROM (TABLE picked EXCEPT ALL SELECT value FROM jsonb_array_elements($1)) unexpected
    ORDER BY 1, 2
  $query$, query) USING expected;
END
$function$;

COMMENT ON FUNCTION message_store_test.differences(text, jsonb) IS
  'Compares the rows of a read model with expected ones, an array of objects. read_model: a table on the search_path, or a query. Columns that no expected row names are not compared. Returns no row where they are the same, in whatever order; else a row for each: missing or unexpected. For pgTAP: is_empty(). Errors: 22023, 42P01, and those of the query.';

CREATE FUNCTION message_store_test.then_read_model(read_model text, expected jsonb) RETURNS void
LANGUAGE plpgsql
AS $function$
DECLARE
  differences text;
BEGIN
  SELECT string_agg(format('%s: %s', d.difference, d.row_found), E'\n') INTO differences
  FROM message_store_test.differences(read_model, expected) d;
  IF differences IS NOT NULL THEN
    RAISE EXCEPTION 'the read model is not as expected: %', read_model USING
      ERRCODE = 'assert_failure', DETAIL = differences;
  END IF;
END
$function$;

COMMENT ON FUNCTION message_store_test.then_read_model(text, jsonb) IS
  'Fails where the rows of a read model are not the expected ones: P0004, with the rows that differ in DETAIL. Arguments and other errors: as message_store_test.differences.';

CREATE FUNCTION message_store_test.then_stream(stream_name varchar, expected jsonb) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  differences text;
BEGIN
  PERFORM message_store_test.require_rows(expected);
  WITH wanted AS (
    SELECT value AS wanted, number - 1 AS place
    FROM jsonb_array_elements(expected) WITH ORDINALITY AS element (value, number)
  ), found AS (
    SELECT row_number() OVER (ORDER BY m.position) - 1 AS place,
      to_jsonb(m) || jsonb_build_object('data', m.data::jsonb, 'metadata', m.metadata::jsonb) AS whole
    FROM message_store.get_stream_messages(then_stream.stream_name, batch_size => -1) m
  ), compared AS (
    SELECT place, wanted,
      CASE
        WHEN wanted IS NULL THEN whole - 'id' - 'time' - 'global_position'
        WHEN whole IS NULL THEN NULL
        ELSE
        (SELECT coalesce(jsonb_object_agg(key, whole -> key) FILTER (WHERE whole ? key), '{}')
         FROM jsonb_object_keys(wanted) key)
      END AS picked
    FROM wanted FULL JOIN found USING (place)
  )
  SELECT string_agg(
    format('%s: expected %s, found %s', place, coalesce(wanted::text, 'nothing'), coalesce(picked::text, 'nothing')),
    E'\n' ORDER BY place) INTO differences
  FROM compared
  WHERE wanted IS DISTINCT FROM picked;
  IF differences IS NOT NULL THEN
    RAISE EXCEPTION 'the stream is not as expected: %', then_stream.stream_name USING
      ERRCODE = 'assert_failure', DETAIL = differences;
  END IF;
END
$function$;

COMMENT ON FUNCTION message_store_test.then_stream(varchar, jsonb) IS
  'Fails where the messages of a stream are not the expected ones, in their order: P0004, with those that differ in DETAIL. expected: an array of objects with columns of type message, such as type, data and metadata; what an object does not name is not compared. Errors: 22023.';

CREATE FUNCTION message_store_test.run(
  schema_name varchar,
  pattern text DEFAULT '^test_'
) RETURNS TABLE (test varchar, passed boolean, milliseconds numeric, error text)
LANGUAGE plpgsql
AS $function$
DECLARE
  test_function regproc;
  began timestamptz;
  detail text;
BEGIN
  FOR test_function, test IN
    SELECT p.oid, p.proname FROM pg_catalog.pg_proc p
    WHERE p.pronamespace = to_regnamespace(quote_ident(schema_name))
      AND p.prokind = 'f' AND p.pronargs = 0 AND p.proname ~ pattern
    ORDER BY p.proname
  LOOP
    began := clock_timestamp();
    passed := false;
    error := NULL;
    BEGIN
      EXECUTE format('SELECT %s()', test_function);
      SET CONSTRAINTS ALL IMMEDIATE;
      passed := true;
      RAISE EXCEPTION 'a test ends';
    EXCEPTION WHEN OTHERS OR assert_failure THEN
      IF NOT passed THEN
        GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL;
        error := concat_ws(E'\n', format('%s: %s', SQLSTATE, SQLERRM), nullif(detail, ''));
      END IF;
    END;
    milliseconds := round(1000 * extract(epoch FROM clock_timestamp() - began), 1);
    RETURN NEXT;
  END LOOP;
  IF test IS NULL THEN
    RAISE EXCEPTION 'no function without arguments in schema "%" matches pattern "%"', schema_name, pattern USING
      ERRCODE = 'undefined_function',
      HINT = 'Name the schema of the tests, and a regular expression that their names match.';
  END IF;
END
$function$;

COMMENT ON FUNCTION message_store_test.run(varchar, text) IS
  'Runs the functions of a schema that have no arguments and a name that matches pattern, a regular expression. Each runs by itself, and what it did is rolled back. Returns a row for each: whether it passed (it raised no error), how long it took, and its error. Errors: 42883 (there is none).';

CREATE FUNCTION message_store_test.must_pass(
  schema_name varchar,
  pattern text DEFAULT '^test_'
) RETURNS text
LANGUAGE plpgsql
AS $function$
DECLARE
  failures text;
  failed bigint;
  summary text;
BEGIN
  SELECT string_agg(format('%s: %s', r.test, r.error), E'\n') FILTER (WHERE NOT r.passed),
    count(*) FILTER (WHERE NOT r.passed),
    format('%s passed in %s ms', count(*) FILTER (WHERE r.passed), sum(r.milliseconds))
  INTO failures, failed, summary
  FROM message_store_test.run(schema_name, pattern) r;
  IF failed > 0 THEN
    RAISE EXCEPTION '% failed, %', failed, summary USING ERRCODE = 'assert_failure', DETAIL = failures;
  END IF;
  RETURN summary;
END
$function$;

COMMENT ON FUNCTION message_store_test.must_pass(varchar, text) IS
  'Runs tests as message_store_test.run does, and fails where one does: P0004, with the errors in DETAIL. Returns how many passed. For a script that is to end with an exit code. Errors: 42883.';

CREATE FUNCTION message_store_test.require_rows(expected jsonb) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
  IF jsonb_typeof(expected) IS DISTINCT FROM 'array'
    OR jsonb_path_exists(expected, '$[*] ? (@.type() != "object")') THEN
    RAISE EXCEPTION 'expected must be an array of objects, and is %', coalesce(expected::text, 'NULL') USING
      ERRCODE = 'invalid_parameter_value',
      HINT = 'Pass the rows, such as ''[{"wallet": "123", "amount": 70}]''.';
  END IF;
END
$function$;

COMMENT ON FUNCTION message_store_test.require_rows(jsonb) IS
  'Of the others'' use: 22023 where this is no array of objects.';
