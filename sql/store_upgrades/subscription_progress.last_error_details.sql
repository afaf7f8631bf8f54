ALTER TABLE message_store.subscription_progress ADD COLUMN last_error_details jsonb;

COMMENT ON COLUMN message_store.subscription_progress.last_error_details IS
  'Its other parts, if it has them: detail, hint, context, schema, table, column, datatype, constraint.';
COMMENT ON COLUMN message_store.subscription_progress.leased_position IS
  'The global position of the last message of the lease.';
