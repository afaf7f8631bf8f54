CREATE FUNCTION message_store.subscription_lag(
  subscriber_id varchar,
  member bigint,
  OUT head bigint,
  OUT lag bigint,
  OUT lag_is_estimate boolean,
  OUT lag_seconds double precision
) RETURNS record
LANGUAGE c VOLATILE
AS 'MODULE_PATHNAME', 'subscription_lag';

COMMENT ON FUNCTION message_store.subscription_lag(varchar, bigint) IS
  'How far a member of a subscription is behind: head, the last settled global position of its source; lag, the messages of the source after its position (for a group: its share), exact to 10,000, beyond that an estimate; lag_seconds, the age of the first of them. Source: the view subscription_status.';
