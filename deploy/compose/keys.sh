#!/usr/bin/env bash
# Run once by the MySQL image: the key store's database and its user, apart from the read models.
set -euo pipefail
mysql --user=root --password="$MYSQL_ROOT_PASSWORD" <<SQL
CREATE DATABASE daybook_keys;
CREATE USER 'keys'@'%' IDENTIFIED BY '$KEYS_PASSWORD';
GRANT ALL ON daybook_keys.* TO 'keys'@'%';
SQL
