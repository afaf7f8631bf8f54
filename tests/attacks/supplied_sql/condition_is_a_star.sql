-- A condition that is not one expression.
-- m
SET message_store.sql_condition = on;
-- m fails 42601
SELECT * FROM message_store.get_category_messages('hv', condition => $c$*$c$);
