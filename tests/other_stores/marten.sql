-- A replay of Marten: its two tables as its documentation and its schema classes describe them, and a
-- hundred events of mine. The library itself is in no registry that the tests reach.
-- \set identity uuid: streams by Guid, one tenant. \set identity varchar: by a string, many tenants.
CREATE TABLE mt_streams (
  id :identity NOT NULL,
  type varchar,
  version bigint,
  timestamp timestamptz NOT NULL DEFAULT now(),
  snapshot jsonb,
  snapshot_version integer,
  created timestamptz NOT NULL DEFAULT now(),
  tenant_id varchar NOT NULL DEFAULT '*DEFAULT*',
  is_archived bool DEFAULT false,
  PRIMARY KEY (tenant_id, id)
);
CREATE TABLE mt_events (
  seq_id bigint PRIMARY KEY,
  id uuid NOT NULL UNIQUE,
  stream_id :identity,
  version bigint NOT NULL,
  data jsonb NOT NULL,
  type varchar(500) NOT NULL,
  timestamp timestamptz NOT NULL DEFAULT now(),
  tenant_id varchar NOT NULL DEFAULT '*DEFAULT*',
  mt_dotnet_type varchar,
  correlation_id varchar,
  causation_id varchar,
  headers jsonb,
  is_archived bool DEFAULT false,
  UNIQUE (tenant_id, stream_id, version),
  FOREIGN KEY (tenant_id, stream_id) REFERENCES mt_streams (tenant_id, id)
);

-- Five streams, which take turns: with and without a type of aggregate; in the second form two tenants
-- have one id.
SELECT :'identity' = 'uuid' AS by_uuid \gset
CREATE TEMPORARY TABLE turns (turn int, id text, type varchar, tenant_id varchar);
\if :by_uuid
INSERT INTO turns VALUES
  (0, '11111111-93f3-4d3e-8f6f-0a1a5b3a7c11', 'quest_party', '*DEFAULT*'),
  (1, '22222222-93f3-4d3e-8f6f-0a1a5b3a7c11', 'quest_party', '*DEFAULT*'),
  (2, '33333333-93f3-4d3e-8f6f-0a1a5b3a7c11', 'trip', '*DEFAULT*'),
  (3, '44444444-93f3-4d3e-8f6f-0a1a5b3a7c11', NULL, '*DEFAULT*'),
  (4, '55555555-93f3-4d3e-8f6f-0a1a5b3a7c11', 'trip', '*DEFAULT*');
\else
INSERT INTO turns VALUES
  (0, 'moria', 'quest_party', 'blue'),
  (1, 'moria', 'quest_party', 'green'),
  (2, 'trip-7', NULL, '*DEFAULT*'),
  (3, 'shire', NULL, 'green'),
  (4, 'trip-7', 'trip', 'blue');
\endif
INSERT INTO mt_streams (id, type, version, tenant_id, is_archived)
SELECT id :: :identity, type, 20, tenant_id, turn = 2 FROM turns;
-- Numbers of the sequence are missing where a transaction of Marten's was rolled back.
INSERT INTO mt_events
SELECT 7 + n + n / 30, md5('event ' || n)::uuid, id :: :identity, 1 + n / 5,
  jsonb_build_object('N', n, 'Name', E'Frodo "B"\n\\', 'Day', 12.50, 'Members', '[null, {"a": []}]'::jsonb),
  CASE WHEN n < 5 THEN 'quest_started' ELSE 'members_joined' END,
  timestamptz '2026-01-01 12:00:00+02' + n * interval '1 minute', tenant_id,
  'Shop.MembersJoined, Shop', CASE WHEN n % 2 = 0 THEN 'correlation-' || n END,
  CASE WHEN n % 3 = 0 THEN 'causation-' || n END,
  CASE WHEN n % 4 = 0 THEN jsonb_build_object('user', 'bilbo', 'n', n) END, turn = 2
FROM generate_series(0, 99) n JOIN turns ON turn = n % 5;
