-- No transaction takes back what it says, and a dump, a standby and a backup carry it.
CREATE SEQUENCE message_store.server_seq;

COMMENT ON SEQUENCE message_store.server_seq IS
  'The server that positions were last drawn on, as epochs.server has it. Where it is another one, the next writer first goes beyond what may have been drawn there.';
