-- The wallets of docs/aggregator.md, tested with pgTAP: pg_prove --dbname shop examples/pgtap/wallets.sql
BEGIN;
SET LOCAL search_path = public, message_store;
CREATE EXTENSION IF NOT EXISTS pgtap;
SELECT plan(2);

SELECT message_store_test.given_nothing('aggregators:wallets');
SELECT message_store_test.given_message('wallet-123', 'PutIn', '{"amount": 100}');
SELECT message_store_test.given_message('wallet-123', 'TakenOut', '{"amount": 30}');
SELECT is(message_store_test.when_ticked('aggregators:wallets'), 2::bigint, 'both are handled');
SELECT is_empty(
  $$SELECT * FROM message_store_test.differences('wallets', '[{"wallet": "123", "amount": 70}]')$$,
  'what is taken out is gone');

SELECT * FROM finish();
ROLLBACK;
