-- Nobody steers another's subscription.
-- m fails 42501
SELECT message_store.alter_subscription('su', '{}');
-- m fails 42501
SELECT message_store.drop_subscription('su');
-- m fails 42501
SELECT message_store.pause('su');
-- m fails 42501
SELECT message_store.stop('su');
-- m fails 42501
SELECT message_store.start('su');
-- m fails 42501
SELECT message_store.reset('su', 0, 'x');
-- m fails 42501
SELECT message_store.skip('su', 1, 'x');
-- m fails 42501
SELECT message_store.rebuild('su');
-- m fails 42501
SELECT message_store.rebuild('su', true);
-- m fails 42501
SELECT message_store.promote('su');
-- m fails 42501
SELECT message_store.cancel_rebuild('su');
-- m fails 42501
SELECT message_store.verify('su');
-- m fails 42501
SELECT message_store.dry_run('su');
-- m fails 42501
SELECT message_store.retry_parked('su');
-- m fails 42501
SELECT message_store.discard_parked('su', 'x');
-- m fails 42501
SELECT message_store.resize_group('su', 2);
-- m fails 42501
SELECT message_store.continue_from('su', 'a-1');
-- m fails 42501
SELECT message_store.fetch('su', 1, '1 s');
-- m fails 42501
SELECT message_store.create_subscription('su', 'hv', '{}');
