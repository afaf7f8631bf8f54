-- A loop over a query is a portal, too, and its name can be guessed.
-- m
CREATE FUNCTION m.h(bigint) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  DECLARE c refcursor; r record; BEGIN
    FOR i IN 1..20 LOOP
      c := '<unnamed portal ' || i || '>';
      BEGIN FETCH c INTO r; INSERT INTO m.seen VALUES (r::text); EXCEPTION WHEN OTHERS THEN NULL; END;
    END LOOP; END;
END $$;
SELECT message_store.create_subscription('mo', 'mv', '{"$any": "m.h"}', '{"retries": 0}');
-- S
DO $$ DECLARE r record; n int := 0; BEGIN
  FOR r IN SELECT s.word, g FROM public.secret s, generate_series(1, 100) g LOOP
    PERFORM message_store.tick('mo');
    n := n + 1;
  END LOOP;
  ASSERT n = 100;
END $$;
