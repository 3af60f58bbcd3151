#!/bin/bash
# Makes the roles and databases in the container of PostgreSQL; postgres.py does the same for the process.
set -euo pipefail
make() { # ROLE PASSWORD DATABASE
  psql -X -q -v ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname postgres -v role="$1" -v password="$2" -v database="$3" <<'SQL'
SELECT format('CREATE ROLE %I LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE CONNECTION LIMIT 40', :'role')
WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = :'role') \gexec
ALTER ROLE :"role" PASSWORD :'password';
CREATE DATABASE :"database" OWNER :"role";
REVOKE ALL ON DATABASE :"database" FROM PUBLIC;
SQL
}
make mlflow "$POSTGRES_MLFLOW_PASSWORD" mlflow
make mlflow "$POSTGRES_MLFLOW_PASSWORD" mlflow_auth
make prefect "$POSTGRES_PREFECT_PASSWORD" prefect
