-- What every spec finds: a store, and a few words that keep the steps readable.
-- The database's search_path is message_store, public.
CREATE EXTENSION message_store;
SELECT message_store.create_store();

CREATE FUNCTION public.write(stream varchar, type varchar, expected_version bigint DEFAULT NULL)
RETURNS bigint LANGUAGE sql VOLATILE
RETURN message_store.write_message(
  gen_random_uuid()::varchar, stream, type, '{}', NULL, expected_version);

-- A consumer of one category, or of '$all': takes what comes after the last message it has
-- taken, and remembers it. What it steps over once it never sees again.
CREATE TABLE public.consumed (consumer varchar, global_position bigint);

CREATE FUNCTION public.poll(category varchar)
RETURNS TABLE (global_position bigint, type varchar) LANGUAGE plpgsql VOLATILE AS $$
DECLARE
  next bigint := (
    SELECT coalesce(max(c.global_position), 0) + 1
    FROM public.consumed c
    WHERE c.consumer = poll.category);
  found message_store.message;
BEGIN
  FOR found IN
    SELECT * FROM message_store.get_category_messages(poll.category, next)
    WHERE poll.category <> '$all'
    UNION ALL
    SELECT * FROM message_store.get_all_messages(next)
    WHERE poll.category = '$all'
  LOOP
    INSERT INTO public.consumed VALUES (poll.category, found.global_position);
    poll.global_position := found.global_position;
    poll.type := found.type;
    RETURN NEXT;
  END LOOP;
END
$$;

-- What a client is told beyond the message that the tester prints.
CREATE FUNCTION public.error_of(command text)
RETURNS TABLE (state text, message text, hint text) LANGUAGE plpgsql VOLATILE AS $$
BEGIN
  EXECUTE command;
EXCEPTION WHEN OTHERS THEN
  GET STACKED DIAGNOSTICS
    state = RETURNED_SQLSTATE, message = MESSAGE_TEXT, hint = PG_EXCEPTION_HINT;
  RETURN NEXT;
END
$$;

-- A handler, and what it was given.
CREATE TABLE public.handled (global_position bigint);
CREATE FUNCTION public.handle(global_position bigint)
RETURNS void LANGUAGE sql VOLATILE
BEGIN ATOMIC
  INSERT INTO public.handled VALUES (global_position);
END;

CREATE PROCEDURE public.subscribe() LANGUAGE sql
BEGIN ATOMIC
  SELECT message_store.create_subscription('reader', 'shelf', '{"$any": "public.handle"}');
END;

-- Every permutation begins here: nothing written, the next global position is 1.
CREATE PROCEDURE public.empty_store() LANGUAGE plpgsql AS $$
BEGIN
  TRUNCATE message_store.messages, message_store.subscriptions, message_store.horizons,
    public.consumed, public.handled CASCADE;
  ALTER SEQUENCE message_store.messages_global_position_seq
    RESTART INCREMENT 1 CACHE 1 NO CYCLE NO MAXVALUE;
END
$$;
