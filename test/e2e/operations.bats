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

# The page renames this column.
label() {
    sql "${source:-db1}" "SELECT attname FROM pg_attribute WHERE attrelid = 'item'::regclass AND attnum = 2"
}

# Rows in a form that all three servers print alike.
rows() { # MACHINE
    sql "$1" "SELECT 'customer', id, name, coalesce(mail, '-') FROM customer ORDER BY id;
        SELECT 'item', id, $(label), price FROM item ORDER BY id;
        SELECT 'purchase', id, customer, item, amount FROM purchase ORDER BY id;
        SELECT 'visit', page FROM visit ORDER BY page" | tr '|' '\t'
}

olap_rows() {
    olap "SELECT 'customer', id, name, ifNull(mail, '-') FROM customer_current ORDER BY id"
    olap "SELECT 'item', id, $(label), price FROM item_current ORDER BY id"
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
    sql "${source:-db1}" "INSERT INTO customer (name, mail) VALUES ('new $1', 'n$1@example.com') ON CONFLICT DO NOTHING;
        INSERT INTO purchase SELECT g, 1, 1, 1 FROM generate_series($1, $1 + 50) g ON CONFLICT DO NOTHING;
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

@test "planned work: schema, tables, resync, sinks" {
    page "Work on one target"
    changes 15000
    all_equal
    page "Change the schema"
    changes 20000
    all_equal
    page "Add and remove a table"
    sql db3 "UPDATE purchase SET amount = -1 WHERE id < 10; DELETE FROM purchase WHERE id = 11"
    page "Copy a table again"
    pg_equal
    changes 30000
    all_equal
    page "Add and remove a sink"
    changes 40000
    all_equal
    [ "$(sql db3 "SELECT count(*) FROM customer" branch)" -ge 500 ]
}

# new_certificates: of another authority, for every server.
new_certificates() {
    local name
    machines_authority new-ca
    for name in db1 db3 db4; do
        machine_certificate $name new-ca "$(machine_dir $name)/root/new"
    done
    cp "$SCRATCH/machines/new-ca.pem" "$(machine_dir walpipe1)/root"
    cat "$SCRATCH/machines/new-ca.pem" >>"$(machine_dir db4)/etc/ssl/ca.pem"
}

@test "planned work: passwords, certificates, the machine of walpipe" {
    page "Rotate passwords"
    new_certificates
    page "Rotate certificates"
    changes 50000
    all_equal
    cp -a "$(machine_dir walpipe1)/etc/walpipe/." "$(machine_dir walpipe2)/etc/walpipe/"
    # the machines share their loopback address
    sed -i 's/:9187/:9189/' "$(machine_dir walpipe2)/etc/walpipe/orders.conf"
    page "Move walpipe to another machine" "18. The machine of walpipe is gone"
    changes 60000
    all_equal
    # and back, as the page says of the pair
    on walpipe1 systemctl start walpipe@orders
    on walpipe2 systemctl stop walpipe@orders
    changes 70000
    all_equal
}

# standby_new PRIMARY STANDBY
standby_new() {
    local dir conf
    dir=$(machine_dir "$2") conf=$(machine_dir "$2")/etc/postgresql/15
    cp -a "$(machine_dir "$1")/etc/postgresql/15" "$conf"
    cp -a "$(machine_dir "$1")/root/new."* "$dir/root" 2>/dev/null || true
    sed -i "s/^listen_addresses.*/listen_addresses = '$(machine_address "$2")'/" "$conf/main/postgresql.conf"
    machine_certificate "$2" new-ca "$conf/main/server"
    chown -R postgres: "$conf"
    chmod 600 "$conf/main/server.key"
    echo 'host replication postgres 10.1.0.0/16 trust' >>"$(machine_dir "$1")/etc/postgresql/15/main/pg_hba.conf"
    on "$1" pg_ctlcluster 15 main reload
    install -d -o postgres -g postgres "$dir/lib/postgresql/15"
    on "$2" runuser -u postgres -- pg_basebackup -D /var/lib/postgresql/15/main -R -c fast --no-sync -h "$1"
    on "$2" pg_ctlcluster 15 main start
}

# ---- bad nights ----

healthz() { # TEXT: it says so
    on walpipe1 curl -sS http://127.0.0.1:9187/healthz | grep -q -- "$1"
}

well() {
    on walpipe1 curl -sSf http://127.0.0.1:9187/healthz
}

failed() {
    [ "$(on walpipe1 systemctl is-active walpipe@orders)" = failed ]
}

back_to_work() { # N
    wait_until 60 well
    changes "$1"
    all_equal
}

@test "bad nights: servers, logins and locks" {
    on db1 pg_ctlcluster 15 main stop
    wait_until 30 healthz 'could not connect'
    page "1. The source does not answer"
    on db1 pg_ctlcluster 15 main start
    wait_until 60 well
    sql db1 "ALTER ROLE repl PASSWORD 'repl-secret-3'"
    sql db1 "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE usename = 'repl' AND backend_type = 'walsender'"
    wait_until 30 healthz 'password authentication failed'
    page "2. The source refuses the login"
    wait_until 60 well
    on db3 pg_ctlcluster 15 main stop
    on db4 systemctl stop clickhouse-server
    changes 110000
    wait_until 30 healthz 'dst/0: target down'
    wait_until 30 healthz 'olap/0: target down'
    page "3. The PostgreSQL target does not answer" "4. ClickHouse does not answer" "5. The source's disk fills"
    on db3 pg_ctlcluster 15 main start
    on db4 systemctl start clickhouse-server
    back_to_work 111000
    on db3 runuser -u postgres -- psql -q -d shop -c "BEGIN; LOCK TABLE purchase; SELECT pg_sleep(100)" >"$SCRATCH/locker" 2>&1 3>&- &
    wait_until 10 eval "[ \"\$(sql db3 \"SELECT count(*) FROM pg_locks WHERE relation = 'purchase'::regclass AND mode = 'AccessExclusiveLock'\")\" = 1 ]"
    changes 112000
    wait_until 30 healthz 'busy or stuck'
    page "7. A worker is busy or stuck"
    back_to_work 113000
}

@test "bad nights: the target's disk is full" {
    local small
    small=$(machine_dir db3)/srv/small
    mkdir "$small"
    on db3 mount -t tmpfs -o size=16M tmpfs /srv/small
    on db3 chown postgres: /srv/small
    sql db3 "CREATE TABLESPACE small LOCATION '/srv/small'"
    sql db3 "ALTER TABLE visit SET TABLESPACE small"
    on db3 bash -c 'cat /dev/zero >/srv/small/filler 2>/dev/null || true'
    sql db1 "INSERT INTO visit SELECT repeat('x', 500) || g FROM generate_series(1, 5000) g"
    wait_until 60 healthz 'No space left'
    page "6. The target's disk is full"
    on db3 rm /srv/small/filler
    back_to_work 114000
    sql db1 "TRUNCATE visit"
    all_equal
    sql db3 "ALTER TABLE visit SET TABLESPACE pg_default"
    sql db3 "DROP TABLESPACE small"
}

@test "bad nights: what the target does not take" {
    sql db1 "ALTER TABLE item ADD COLUMN color text; UPDATE item SET color = 'red' WHERE id = 1"
    wait_until 60 failed
    page "8. The target lacks a column"
    wait_until 60 well
    sql db3 "INSERT INTO customer (id, name, mail) OVERRIDING SYSTEM VALUE VALUES (900000, 'x', 'twice@example.com')"
    sql db1 "INSERT INTO customer (name, mail) VALUES ('x', 'twice@example.com')"
    wait_until 60 failed
    page "9. A row in the target is in the way"
    wait_until 60 well
    sql db3 "ALTER TABLE purchase ADD CONSTRAINT purchase_amount_check CHECK (amount < 1000) NOT VALID"
    sql db1 "UPDATE purchase SET amount = 5000 WHERE id = 20"
    wait_until 60 failed
    page "10. The target refuses a value"
    back_to_work 119000
    sql db3 "ALTER TABLE purchase ADD CONSTRAINT purchase_amount_check CHECK (amount < 6000) NOT VALID"
    sql db1 "UPDATE purchase SET amount = 7000 WHERE id = 20; UPDATE item SET price = 2 WHERE id = 2"
    wait_until 60 failed
    page "Continue without a transaction"
    back_to_work 120000
    sql db1 "ALTER PUBLICATION orders DROP TABLE purchase"
    changes 121000
    on walpipe1 caught-up
    sql db1 "ALTER PUBLICATION orders ADD TABLE purchase; UPDATE purchase SET amount = 3 WHERE id = 21"
    wait_until 60 failed
    page "11. A table was out of the publication for a time"
    back_to_work 122000
}

@test "bad nights: slot, publication, positions" {
    sql db1 "ALTER SYSTEM SET max_slot_wal_keep_size = '16MB'"
    sql db1 "SELECT pg_reload_conf()"
    on walpipe1 systemctl stop walpipe@orders
    for i in 1 2 3 4; do
        sql db1 "SELECT pg_switch_wal(); SELECT pg_logical_emit_message(false, 'x', repeat('x', 1000000))"
    done
    sql db1 CHECKPOINT
    sql db1 "ALTER SYSTEM SET max_slot_wal_keep_size = '2GB'"
    sql db1 "SELECT pg_reload_conf()"
    changes 130000
    on walpipe1 systemctl start walpipe@orders || true
    wait_until 60 failed
    page "12. The slot is lost" "Begin anew"
    all_equal
    on walpipe1 systemctl stop walpipe@orders
    sql db1 "SELECT pg_drop_replication_slot('orders')"
    on walpipe1 systemctl start walpipe@orders || true
    wait_until 60 failed
    page "13. The slot is gone"
    page "Begin anew"
    sql db1 "DROP PUBLICATION orders"
    changes 131000
    wait_until 60 failed
    page "14. The publication is gone" "Begin anew"
    all_equal
    # as a restored backup has them
    local was
    was=$(sql db3 "SELECT lsn FROM walpipe.progress WHERE pipeline = 'orders'")
    changes 132000
    on walpipe1 caught-up
    on walpipe1 systemctl stop walpipe@orders
    sql db3 "UPDATE walpipe.progress SET lsn = '$was'; DELETE FROM purchase WHERE id >= 132000"
    on walpipe1 systemctl start walpipe@orders || true
    wait_until 60 failed
    page "15. A target was restored from an older backup" "Begin anew"
    all_equal
}

@test "bad nights: walpipe's own" {
    local conf
    conf=$(machine_dir walpipe1)/etc/walpipe
    on walpipe1 pkill -KILL -x sink-pg
    wait_until 30 grep -q 'restarting the pipeline' "$(machine_dir walpipe1)/log/walpipe@orders.log"
    wait_until 60 well
    page "16. A program crashes"
    on walpipe1 systemctl stop walpipe@orders
    on walpipe1 rm -rf /var/lib/walpipe/orders
    page "17. The state directory is gone"
    back_to_work 140000
    sed -i 's/^slot /slt /' "$conf/orders.conf"
    page "19. The config has a mistake"
    wait_until 60 well
    cat "$SCRATCH/machines/ca.pem" >"$conf/ca.pem" # the one that has signed nothing here
    on walpipe1 systemctl restart walpipe@orders || true
    wait_until 60 failed
    page "20. A certificate is not trusted"
    back_to_work 141000
}

# pg_upgrade, from 15 to 15.
upgrade_source() {
    local dir
    dir=$(machine_dir db2)/lib/postgresql
    cp -a --reflink=auto "$(pg_template)" "$dir/15/new"
    pg_renew_identity "$dir/15/new"
    on db2 pg_ctlcluster 15 main stop
    on db2 runuser -u postgres -- bash -c 'cd /var/lib/postgresql && exec "$0/pg_upgrade" -b "$0" -B "$0" \
        -d /etc/postgresql/15/main -D /var/lib/postgresql/15/new -U postgres -s /var/lib/postgresql' "$(pg_bindir)" >"$SCRATCH/upgrade"
    cp -a "$dir/15/main/postgresql.auto.conf" "$dir/15/new"
    mv "$dir/15/main" "$dir/15/old"
    mv "$dir/15/new" "$dir/15/main"
    on db2 pg_ctlcluster 15 main start
}

@test "planned work: the source's standby, a major upgrade of the source" {
    standby_new db1 db2
    page "Fail over to the source's standby"
    export source=db2
    changes 80000
    all_equal
    export -f upgrade_source on in_world machine_dir pg_template pg_bindir pg_renew_identity as_postgres
    RUNBOOK_INSTEAD=upgrade_source page "A major upgrade of the source"
    changes 90000
    all_equal
}

sides_equal() {
    diff <(rows db2) <(rows db3) >"$SCRATCH/diff"
}

@test "planned work: the applications move to the target and back; walpipe is removed" {
    export source=db2
    # as the page asks: without ClickHouse
    on walpipe1 systemctl stop walpipe@orders
    sed -i '/^\[sink olap\]/,$d' "$(machine_dir walpipe1)/etc/walpipe/orders.conf"
    on walpipe1 systemctl start walpipe@orders
    page "Move the applications to the target"
    source=db3 changes 200000
    wait_until 60 sides_equal
    page "Move the applications back"
    changes 210000
    wait_until 60 sides_equal
    page "Remove walpipe"
    [ "$(sql db2 "SELECT count(*) FROM pg_roles WHERE rolname = 'repl'")" = 0 ]
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

@test "each message that ends with 100 is in the list, and each kind of the page is one of them" {
    local list=$SCRATCH/messages kind
    "$WALPIPE_ROOT/scripts/messages" >"$list"
    # as many as the sources have, counted in another way; one may be there twice
    local calls
    calls=$(cat "$WALPIPE_ROOT"/src/*/*.c "$WALPIPE_ROOT"/src/*/*/*.c | tr -s ' \n' ' ' |
        grep -o 'EXIT_REFUSED, "[^"]*' | sort -u | wc -l)
    echo "$calls literals"
    [ "$(grep -c '^    [^ ]' "$list")" -ge "$((calls * 9 / 10))" ]
    # a hint is found also in a function of its own, and behind another message
    "$WALPIPE_ROOT/scripts/messages" 'is gone: changes after' | grep '^        stop walpipe, run walpipe drop'
    "$WALPIPE_ROOT/scripts/messages" 'is another cluster: its' | grep '^        correct the \[source\] section'
    sed -n '/^## Exit code 100/,$s/^| `\([^`]*\)`.*/\1/p' "$page" >"$SCRATCH/kinds"
    [ "$(wc -l <"$SCRATCH/kinds")" -ge 15 ]
    while read -r kind; do
        grep -qF -- "$kind" "$list" || { echo "no message says: $kind" && return 1; }
    done <"$SCRATCH/kinds"
}
