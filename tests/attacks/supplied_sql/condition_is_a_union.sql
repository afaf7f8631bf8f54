-- A condition that is not one expression.
-- m
SET message_store.sql_condition = on;
-- m fails 42601
SELECT * FROM message_store.get_category_messages('hv', condition => $c$true) UNION ALL SELECT 1,2,3,4,5,6,7,8 WHERE (true$c$);
