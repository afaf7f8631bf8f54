-- What Emmett's consumer has handled of the log after `driver.js emmett latency`, and how many
-- messages stand behind one with a higher position in the order in which it reads them.
SELECT count(*) AS written,
       (SELECT viewings FROM viewing_counts) AS handled,
       (SELECT last_processed_checkpoint::bigint FROM emt_processors) AS checkpoint,
       max(global_position) AS last_position,
       count(*) FILTER (WHERE global_position < highest_before) AS behind
FROM (
  SELECT global_position, max(global_position) OVER (
    ORDER BY transaction_id, global_position ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
  ) AS highest_before
  FROM emt_messages
) AS read;
