-- A condition that is not one expression.
-- m
SET message_store.sql_condition = on;
-- m fails 22023
SELECT * FROM message_store.get_category_messages('hv', condition => $c$true, true$c$);
