-- EXECUTE is the privilege to write and to steer subscriptions: not for everybody.
-- Those that parse names stay PUBLIC, since indexes and views of the store use them; so do those that
-- read, since they read with the rights of their caller.
REVOKE EXECUTE ON FUNCTION
  message_store.ack(varchar, bigint, bigint),
  message_store.advance_position(bigint),
  message_store.alter_subscription(varchar, jsonb, jsonb),
  message_store.announce_insert(),
  message_store.apply_retention(bigint),
  message_store.become_shard(bigint, bigint, bigint, text[], bigint),
  message_store.begin_epoch(varchar, bigint),
  message_store.cancel_rebuild(varchar),
  message_store.check_position(uuid, bigint),
  message_store.confirm_epoch(uuid, varchar),
  message_store.continue_from(varchar, varchar),
  message_store.create_subscription(varchar, varchar, jsonb, jsonb),
  message_store.delete_category_before(varchar, varchar, bigint, timestamptz, boolean, bigint),
  message_store.delete_moved_messages(bigint, bigint, bigint, bigint),
  message_store.delete_stream(varchar, varchar, bigint, boolean, boolean, bigint),
  message_store.deleted_up_to(varchar),
  message_store.discard_parked(varchar, varchar, bigint, varchar, varchar, bigint[]),
  message_store.drop_subscription(varchar),
  message_store.dry_run(varchar, jsonb, bigint, boolean, bigint[], boolean),
  message_store.ensure_home_page(),
  message_store.epoch(),
  message_store.erase_message_data(varchar, varchar, varchar, jsonpath, jsonb, varchar),
  message_store.erasure_remains(bigint),
  message_store.fetch(varchar, bigint, interval, bigint),
  message_store.finish_adoption(interval),
  message_store.follow(message_store.message, jsonb),
  message_store.get_settled_messages(varchar, bigint, bigint, varchar, bigint, bigint, bigint, bigint),
  message_store.increment_videos_watched(bigint),
  message_store.increment_videos_watched(bigint[]),
  message_store.park(varchar, bigint, text, bigint),
  message_store.pause(varchar, varchar),
  message_store.promote(varchar, boolean, boolean),
  message_store.reassign(varchar, varchar),
  message_store.rebuild(varchar, boolean),
  message_store.record_horizons(),
  message_store.renew(varchar, interval, bigint),
  message_store.require_map(bigint),
  message_store.reset(varchar, bigint, varchar),
  message_store.resize_group(varchar, bigint),
  message_store.retain(varchar, interval, varchar),
  message_store.revert_adoption(),
  message_store.retry_parked(varchar, bigint, varchar, varchar, bigint[]),
  message_store.skip(varchar, bigint, varchar),
  message_store.start(varchar, boolean),
  message_store.started_subscriptions(),
  message_store.stop(varchar, varchar),
  message_store.subscription_lag(varchar, bigint),
  message_store.tick(varchar, bigint, bigint),
  message_store.ticking_since(integer),
  message_store.verify(varchar, boolean),
  message_store.wait_for(varchar, bigint, interval),
  message_store.wipe_free_room(),
  message_store.write_message(varchar, varchar, varchar, jsonb, jsonb, bigint),
  message_store.write_messages(message_store.new_message[], varchar),
  message_store.write_messages(varchar, jsonb, bigint, varchar),
  message_store.write_messages(varchar, varchar)
FROM PUBLIC;

REVOKE EXECUTE ON PROCEDURE message_store.wait_for_messages(bigint, interval, bigint) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION
  message_store.ack(varchar, bigint, bigint),
  message_store.advance_position(bigint),
  message_store.alter_subscription(varchar, jsonb, jsonb),
  message_store.apply_retention(bigint),
  message_store.cancel_rebuild(varchar),
  message_store.check_position(uuid, bigint),
  message_store.continue_from(varchar, varchar),
  message_store.create_subscription(varchar, varchar, jsonb, jsonb),
  message_store.deleted_up_to(varchar),
  message_store.discard_parked(varchar, varchar, bigint, varchar, varchar, bigint[]),
  message_store.drop_subscription(varchar),
  message_store.dry_run(varchar, jsonb, bigint, boolean, bigint[], boolean),
  message_store.ensure_home_page(),
  message_store.epoch(),
  message_store.fetch(varchar, bigint, interval, bigint),
  message_store.follow(message_store.message, jsonb),
  message_store.get_settled_messages(varchar, bigint, bigint, varchar, bigint, bigint, bigint, bigint),
  message_store.increment_videos_watched(bigint),
  message_store.increment_videos_watched(bigint[]),
  message_store.park(varchar, bigint, text, bigint),
  message_store.pause(varchar, varchar),
  message_store.promote(varchar, boolean, boolean),
  message_store.reassign(varchar, varchar),
  message_store.rebuild(varchar, boolean),
  message_store.record_horizons(),
  message_store.renew(varchar, interval, bigint),
  message_store.require_map(bigint),
  message_store.reset(varchar, bigint, varchar),
  message_store.resize_group(varchar, bigint),
  message_store.retry_parked(varchar, bigint, varchar, varchar, bigint[]),
  message_store.skip(varchar, bigint, varchar),
  message_store.start(varchar, boolean),
  message_store.started_subscriptions(),
  message_store.stop(varchar, varchar),
  message_store.subscription_lag(varchar, bigint),
  message_store.tick(varchar, bigint, bigint),
  message_store.ticking_since(integer),
  message_store.verify(varchar, boolean),
  message_store.wait_for(varchar, bigint, interval),
  message_store.write_message(varchar, varchar, varchar, jsonb, jsonb, bigint),
  message_store.write_messages(message_store.new_message[], varchar),
  message_store.write_messages(varchar, jsonb, bigint, varchar),
  message_store.write_messages(varchar, varchar)
TO message_store;

GRANT EXECUTE ON PROCEDURE message_store.wait_for_messages(bigint, interval, bigint) TO message_store;

GRANT USAGE ON SCHEMA message_store TO message_store;

GRANT message_store TO message_store_admin;

-- They know what becomes of a server.
GRANT EXECUTE ON FUNCTION message_store.become_shard(bigint, bigint, bigint, text[], bigint),
  message_store.begin_epoch(varchar, bigint),
  message_store.confirm_epoch(uuid, varchar),
  message_store.delete_moved_messages(bigint, bigint, bigint, bigint)
TO message_store_admin;

-- A viewer looks through the views, the table of messages and the functions open to everybody; of
-- the others it needs those that a view calls.
GRANT USAGE ON SCHEMA message_store TO message_store_viewer;

GRANT EXECUTE ON FUNCTION message_store.check_position(uuid, bigint),
  message_store.deleted_up_to(varchar),
  message_store.epoch(),
  message_store.subscription_lag(varchar, bigint),
  message_store.ticking_since(integer)
TO message_store_viewer;
