-- There is no way back. This says so, and what to do instead, where PostgreSQL would say only that it
-- has no path.
DO $$
BEGIN
  RAISE EXCEPTION USING
    ERRCODE = 'feature_not_supported',
    MESSAGE = 'message_store 0.1.1 cannot be made 0.1.0 again',
    DETAIL = 'Nothing was changed.',
    HINT = 'To go back, install the files of the older version and restore a backup that was made before the update into a new database; what was written since is copied by export and import (docs/versions.md).';
END
$$;
