#!/bin/sh
# Runs once, when the database is created. The user of WavRAG is no superuser: superusers bypass the
# row-level security that keeps tenants apart. Extensions are created here, which needs one. Without
# a password, the superuser can connect in this container only; WavRAG has its first one.
set -eu
psql --set ON_ERROR_STOP=1 --set password="$POSTGRES_PASSWORD" --username postgres <<'SQL'
CREATE ROLE wavrag LOGIN PASSWORD :'password';
CREATE DATABASE wavrag OWNER wavrag;
\connect wavrag
CREATE EXTENSION vector;
ALTER ROLE postgres PASSWORD NULL;
SQL
