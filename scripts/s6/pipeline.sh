# pipeline.sh: a pipeline as separate services under s6, instead of `walpipe run`.
#
#     cp -r scripts/s6 /etc/walpipe-orders     s6 writes into its service directories
#     edit /etc/walpipe-orders/pipeline.sh     this file: all settings
#     s6-svscan /etc/walpipe-orders            starts all; or link the directories into a running
#                                              scan directory, this file beside them
#     s6-svscanctl -t /etc/walpipe-orders      drains and ends all
#
# Each program is a service of its own: an input listens on a Unix socket in $STATE, an output
# connects. When one ends, its neighbours notice and end too, s6 starts every one again after a
# second, and the pipeline begins anew at the slot. The first SIGTERM is heeded by pg-wal-read alone
# and drains; what has not ended 65 seconds later is killed (timeout-kill). Exit code 100 means that
# a person must mend something: finish then tells s6 to leave that service down, and the others keep
# trying until it is up again (s6-svc -u).
#
# For another worker copy sink-dst-0, change the socket's name in its run, add a --to in route/run
# and count it in SINKS.

# shellcheck shell=sh disable=SC2034 # the run scripts read them

PATH=/usr/local/bin:$PATH
STATE=/var/lib/walpipe/orders
SLOT=orders
PUBLICATION=orders
PIPELINE=orders
SOURCE='host=db1 dbname=shop user=repl'
TARGET='host=db3 dbname=shop user=apply'
SINKS='--sink dst=1'
HTTP=127.0.0.1:9187

# Passwords: a file for libpq, mode 0600.
PGPASSFILE=/etc/walpipe/pgpass
export PATH PGPASSFILE

umask 077
mkdir -p "$STATE"
