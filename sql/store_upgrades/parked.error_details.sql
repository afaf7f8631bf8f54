ALTER TABLE message_store.parked ADD COLUMN error_details jsonb;

COMMENT ON COLUMN message_store.parked.error_details IS
  'Its other parts, if it has them: detail, hint, context, schema, table, column, datatype, constraint.';
