ALTER TABLE message_store.subscription_progress ADD COLUMN last_error_details jsonb;

COMMENT ON COLUMN message_store.subscription_progress.last_error_details IS
  'Its other parts, if it has them: detail, hint, context, schema, table, column, datatype, constraint.';
