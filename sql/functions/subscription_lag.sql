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
  'How far a member of a subscription is behind. head: the last settled global position of its source. lag: how many messages of the source come after its position, exact up to 10,000, and an estimate beyond. In a consumer group, only the member''s share counts. lag_seconds: the age of the first of these messages. The view subscription_status shows all of this.';
