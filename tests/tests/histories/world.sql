-- A read model that forgives nothing: of each stream the messages that were handled, as they came.
-- What is handled twice, left out or out of order stays visible.
CREATE SCHEMA rm AUTHORIZATION history_owner;
SET ROLE history_owner;
SET search_path = rm;

CREATE TABLE rm.entities (
  stream text PRIMARY KEY,
  total bigint NOT NULL,
  list bigint[] NOT NULL
);

CREATE FUNCTION rm.prepare() RETURNS void LANGUAGE sql AS $$
  INSERT INTO entities VALUES ('', 0, '{}') ON CONFLICT DO NOTHING
$$;

-- Every call of a handler that was kept, rebuilds and copies included.
CREATE TABLE rm.calls (
  seq bigserial,
  subscriber text,
  position bigint,
  is_replay boolean
);

-- What the handlers find wrong with which message.
CREATE TABLE rm.poison (position bigint PRIMARY KEY, kind text NOT NULL);
CREATE SEQUENCE rm.failures;
CREATE SEQUENCE rm.flaky;

CREATE FUNCTION rm.fail(said text, code text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  PERFORM nextval('rm.failures');
  RAISE EXCEPTION '%', said USING ERRCODE = code;
END
$$;

CREATE TABLE rm.deferred (position bigint);
CREATE FUNCTION rm.fail_later() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM rm.fail('deferred', 'P0001');
  RETURN NULL;
END
$$;
CREATE CONSTRAINT TRIGGER fails_later AFTER INSERT ON rm.deferred
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION rm.fail_later();

-- What the handlers do besides; a service answers, another one ticks `nested`.
CREATE TABLE rm.duties (answers boolean NOT NULL, ticks boolean NOT NULL);

-- What the subscription `nested` was given, in order.
CREATE TABLE rm.nested (seq bigserial, position bigint NOT NULL);

CREATE FUNCTION rm.on_nested(global_position bigint) RETURNS void LANGUAGE sql AS $$
  INSERT INTO rm.nested (position) VALUES (global_position)
$$;

-- What applications have handled, in order.
CREATE TABLE rm.handled_outside (seq bigserial, stream text NOT NULL, position bigint NOT NULL);

-- Answers to a message: as many as its position says, in one batch. Of a message that is handled
-- alone they have derived ids but for the second; of others they have ids of their own, since how a
-- run is cut is not promised.
CREATE FUNCTION rm.answer(positions bigint[], streams text[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  PERFORM message_store.write_messages(ARRAY(
    SELECT ROW(
        'answer', 'Answer', '{}', jsonb_build_object('to', position, 'ordinal', ordinal),
        CASE WHEN ordinal = 1 OR cardinality(positions) > 1 THEN md5(position || '/' || ordinal) END,
        NULL)::message_store.new_message
    FROM unnest(positions, streams) AS m (position, stream), generate_series(0, position % 4) AS ordinal
    WHERE stream <> 'answer' ORDER BY position, ordinal), 'ignore');
END
$$;

CREATE FUNCTION rm.apply(positions bigint[], streams text[]) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  call message_store.handler_call := message_store.handler_context();
  fault record;
  duties rm.duties := (SELECT d FROM rm.duties d);
BEGIN
  IF duties.answers THEN
    PERFORM rm.answer(positions, streams);
  END IF;
  IF duties.ticks THEN
    PERFORM message_store.tick('nested', 3);
  END IF;
  INSERT INTO entities AS e
  SELECT stream, count(*), array_agg(position ORDER BY place)
  FROM unnest(positions, streams) WITH ORDINALITY m (position, stream, place)
  GROUP BY stream
  ON CONFLICT (stream) DO UPDATE SET total = e.total + excluded.total, list = e.list || excluded.list;
  INSERT INTO rm.calls (subscriber, position, is_replay)
  SELECT call.subscriber_id || coalesce('#' || call.read_model, ''), position, call.is_replay
  FROM unnest(positions) position;
  -- The effects are there by now: a failure must take them back.
  FOR fault IN
    SELECT * FROM rm.poison p WHERE p.position = ANY (positions || 0::bigint) ORDER BY p.position
  LOOP
    IF fault.kind = 'block' THEN
      PERFORM pg_advisory_xact_lock_shared(1);
    ELSIF fault.kind = 'raise' THEN
      PERFORM rm.fail('poisoned', 'P0001');
    ELSIF fault.kind = 'transient' THEN
      PERFORM rm.fail('passes', '40001');
    ELSIF fault.kind = 'crowd' AND cardinality(positions) > 1 THEN
      PERFORM rm.fail('crowded', 'P0001');
    ELSIF fault.kind = 'flaky' AND nextval('rm.flaky') % 2 = 1 THEN
      PERFORM rm.fail('flaky', 'P0001');
    ELSIF fault.kind = 'deferred' THEN
      INSERT INTO rm.deferred VALUES (fault.position);
    END IF;
  END LOOP;
END
$$;

CREATE FUNCTION rm.on_message(m message_store.message) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  PERFORM rm.apply(ARRAY[m.global_position], ARRAY[m.stream_name::text]);
END
$$;

CREATE FUNCTION rm.on_messages(messages message_store.message[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  PERFORM rm.apply(array_agg(m.global_position ORDER BY m.ordinality),
                   array_agg(m.stream_name::text ORDER BY m.ordinality))
  FROM unnest(messages) WITH ORDINALITY m;
END
$$;

CREATE FUNCTION rm.on_position(global_position bigint) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  PERFORM rm.apply(ARRAY[on_position.global_position], ARRAY[m.stream_name])
  FROM message_store.messages m WHERE m.global_position = on_position.global_position;
END
$$;

CREATE FUNCTION rm.on_positions(global_positions bigint[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  PERFORM rm.apply(array_agg(m.global_position ORDER BY p.place),
                   array_agg(m.stream_name ORDER BY p.place))
  FROM unnest(global_positions) WITH ORDINALITY p (global_position, place)
  JOIN message_store.messages m USING (global_position);
END
$$;
