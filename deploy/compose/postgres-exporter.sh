#!/bin/sh
# Run once by PostgreSQL's entrypoint, when it creates its first database: adds a role that may only read statistics.
psql --no-psqlrc --set ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname "$POSTGRES_DB" \
    --set password="$(cat /run/secrets/postgres_exporter_password)" <<'SQL'
CREATE ROLE exporter LOGIN CONNECTION LIMIT 4 PASSWORD :'password';
GRANT pg_monitor TO exporter;
SQL
