#!/usr/bin/env bats
# docs/operations.md: every command of the page, in its order, on machines of its own
# (test/lib/machines.bash), with the things going wrong that it is about. One pipeline lives through
# the whole file.

bats_require_minimum_version 1.5.0

setup_file() {
    source "$BATS_TEST_DIRNAME/../lib/servers.bash"
    source "$BATS_TEST_DIRNAME/../lib/machines.bash"
    machines_possible || return 0
    machines_new db1=10.1.0.1 db2=10.1.0.2 db3=10.1.0.3 db4=10.1.0.4 walpipe1 walpipe2
    machines_authority
    for name in db1 db3; do
        machine_postgres $name
        on $name runuser -u postgres -- psql -q -c "CREATE ROLE shop LOGIN PASSWORD 'owner-secret'"
        on $name runuser -u postgres -- psql -q -c "CREATE DATABASE shop OWNER shop"
    done
    machine_clickhouse db4
    machine_walpipe walpipe1
    machine_walpipe walpipe2
    cp "$SCRATCH/machines/ca.pem" "$(machine_dir walpipe1)/etc/walpipe/ca.pem"
    cp "$SCRATCH/machines/ca.pem" "$(machine_dir db4)/etc/ssl/ca.pem"
    sql db1 "ALTER SCHEMA public OWNER TO shop; SET ROLE shop;
        CREATE TABLE customer (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text NOT NULL, mail text UNIQUE);
        CREATE TABLE item (id serial PRIMARY KEY, label text, price numeric(10, 2));
        CREATE TABLE purchase (id bigint PRIMARY KEY, customer int REFERENCES customer, item int REFERENCES item,
            amount int, at timestamptz DEFAULT now());
        CREATE INDEX ON purchase (customer);
        CREATE TABLE visit (page text, at timestamptz);
        INSERT INTO customer (name, mail) SELECT 'c' || g, g || '@example.com' FROM generate_series(1, 500) g;
        INSERT INTO item (label, price) SELECT 'i' || g, g FROM generate_series(1, 200) g;
        INSERT INTO purchase SELECT g, g % 500 + 1, g % 200 + 1, g % 7 FROM generate_series(1, 5000) g;
        INSERT INTO visit SELECT '/' || g, now() FROM generate_series(1, 300) g"
    sql db3 "ALTER SCHEMA public OWNER TO shop"
}

teardown_file() {
    source "$BATS_TEST_DIRNAME/../lib/servers.bash"
    servers_end
}

setup() {
    source "$BATS_TEST_DIRNAME/../lib/servers.bash"
    source "$BATS_TEST_DIRNAME/../lib/machines.bash"
    page=$WALPIPE_ROOT/docs/operations.md
    ran=$SCRATCH/ran
    machines_possible || skip "this user may not make namespaces"
    [ ! -e "$SCRATCH/failed" ] || skip "an earlier part of the page has failed"
}

teardown() {
    [ -n "${BATS_TEST_COMPLETED:-}${BATS_TEST_SKIPPED:-}" ] || {
        touch "$SCRATCH/failed"
        tail -n 15 "$(machine_dir walpipe1)/log/walpipe@orders.log"
    }
}

# sql MACHINE SQL [DB]
sql() {
    on "$1" runuser -u postgres -- psql -XAtq -v ON_ERROR_STOP=1 -d "${3:-shop}" -c "$2"
}

olap() {
    on db4 curl -sS --fail-with-body --cacert /etc/ssl/ca.pem "https://db4:8443/?database=shop" --data-binary "$1"
}

page() { # HEADING...
    "$WALPIPE_ROOT/test/lib/runbook.py" run "$page" "$ran" "$@"
}

walpipe() {
    on walpipe1 runuser -u walpipe -- walpipe "$@"
}

# Rows in a form that all three servers print alike.
rows() { # MACHINE
    sql "$1" "SELECT 'customer', id, name, coalesce(mail, '-') FROM customer ORDER BY id;
        SELECT 'item', id, label, price FROM item ORDER BY id;
        SELECT 'purchase', id, customer, item, amount FROM purchase ORDER BY id;
        SELECT 'visit', page FROM visit ORDER BY page" | tr '|' '\t'
}

olap_rows() {
    olap "SELECT 'customer', id, name, ifNull(mail, '-') FROM customer_current ORDER BY id"
    olap "SELECT 'item', id, label, price FROM item_current ORDER BY id"
    olap "SELECT 'purchase', id, customer, item, amount FROM purchase_current ORDER BY id"
    olap "SELECT 'visit', page FROM visit ORDER BY page"
}

pg_equal() {
    diff <(rows "${source:-db1}") <(rows db3) >"$SCRATCH/diff"
}

olap_equal() {
    diff <(rows "${source:-db1}") <(olap_rows) >"$SCRATCH/diff"
}

all_equal() {
    wait_until 60 pg_equal || { head -n 20 "$SCRATCH/diff" && return 1; }
    wait_until 60 olap_equal || { head -n 20 "$SCRATCH/diff" && return 1; }
}

# Changes of each kind; the numbers of new rows begin at N.
changes() { # N
    sql "${source:-db1}" "INSERT INTO customer (name, mail) VALUES ('new $1', 'n$1@example.com');
        INSERT INTO purchase SELECT g, 1, 1, 1 FROM generate_series($1, $1 + 50) g;
        UPDATE purchase SET amount = amount + 1 WHERE id % 10 = $1 % 10;
        DELETE FROM purchase WHERE id % 1000 = $1 % 1000 + 1;
        INSERT INTO visit VALUES ('/$1', now())"
}

@test "set-up: least-privileged roles are enough for copy, changes and TRUNCATE" {
    page "The machines" "Set-up"
    all_equal
    changes 10000
    all_equal
    sql db1 "TRUNCATE visit; INSERT INTO visit VALUES ('/after', now())"
    all_equal
}

@test "every command was run, and the page says so where one was not" {
    "$WALPIPE_ROOT/test/lib/runbook.py" left "$page" "$ran"
    "$WALPIPE_ROOT/test/lib/runbook.py" skipped "$page"
}

# The GRANT lines of sink-ch(1) are run by test/filter/sink-ch-rights.bats.
@test "the page's grants for ClickHouse are those of sink-ch(1)" {
    grants() {
        grep -v '^--' | tr -s '\n ' ' ' | tr ';' '\n' | sed 's/^ *//; s/shop\./db./' | grep '^GRANT'
    }
    sed -n '/^CREATE USER walpipe/,/^```/p' "$page" | grants >"$SCRATCH/page"
    sed -n '/^GRANT SELECT, INSERT/,/^\.Ed/p' "$WALPIPE_ROOT/src/sink-ch/sink-ch.1" | grants >"$SCRATCH/manual"
    [ -s "$SCRATCH/page" ]
    diff "$SCRATCH/page" "$SCRATCH/manual"
}
