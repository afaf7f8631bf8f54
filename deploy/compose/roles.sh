#!/usr/bin/env bash
# The roles of compose.yaml: the one that ticks, and the one that operators act with.
set -euo pipefail
psql --no-psqlrc --quiet --set ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname "$POSTGRES_DB" \
  --set orchestrator="$(cat /run/secrets/orchestrator-password)" \
  --set dashboard="$(cat /run/secrets/dashboard-password)" <<'SQL'
CREATE ROLE orchestrator LOGIN PASSWORD :'orchestrator' IN ROLE message_store;
CREATE ROLE dashboard LOGIN PASSWORD :'dashboard' IN ROLE message_store_admin, pg_read_all_stats;
SQL
