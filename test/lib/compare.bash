# compare.bash: do the source and its targets hold the same rows? A digest over every column of
# every row, computed the same way by PostgreSQL and by ClickHouse. Source servers.bash first.
#
#   pg_digest SERVER TABLE [DB]    "ROWS DIGEST" of TABLE in schema public
#   ch_digest SERVER TABLE DB SOURCE [SOURCE_DB]
#                                  the same of ClickHouse's view TABLE_current, or of TABLE itself
#                                  where there is no view; the PostgreSQL server SOURCE names the
#                                  columns
#
# A row's digest is the first 64 bits of the MD5 of its columns' texts, joined by byte 1f, NULL as
# \N; a table's is the sum of its rows' modulo 2^64, which does not depend on their order. Floating
# point numbers are compared by their shortest text: the two servers agree on that only for numbers
# that need no exponent.

# One line a column of the table, by name: its quoted name and its type.
compare_columns() {
    pg_sql "$1" "SELECT quote_ident(attname) || ' ' || format_type(atttypid, atttypmod)
                   FROM pg_attribute
                  WHERE attrelid = 'public.$2'::regclass AND attnum > 0 AND NOT attisdropped
                  ORDER BY attname::text COLLATE \"C\"" "${3:-}"
}

pg_digest() {
    local list='' name type columns
    columns=$(compare_columns "$@") || return 1
    while read -r name type; do
        [ "$type" != boolean ] || name="$name::int" # ClickHouse has a number before 21.12
        # format() calls the type's output function; a cast to text does not always say the same
        list+="${list:+, }CASE WHEN $name IS NULL THEN '\\N' ELSE format('%s', $name) END"
    done <<<"$columns"
    pg_sql "$1" "WITH m(m) AS (SELECT 18446744073709551616::numeric),
                      d(rows, sum) AS (SELECT count(*), coalesce(sum(
                          ('x' || left(md5(concat_ws(E'\\x1f', $list)), 16))::bit(64)::bigint), 0)
                                         FROM public.$2)
                 SELECT rows || ' ' || mod(mod(sum, m) + m, m) FROM d, m" "${3:-}"
}

ch_digest() {
    local server=$1 table=$2 db=$3 list='' name type columns from
    columns=$(compare_columns "$4" "$2" "${5:-}") || return 1
    while read -r name type; do
        [ "$type" != bytea ] || name="concat('\\\\x', lower(hex($name)))" # raw there
        # a DateTime64 has all its digits, PostgreSQL's text ends before the last zeros
        [[ $type != 'timestamp '* ]] || name="replaceRegexpOne(replaceRegexpOne(toString($name),
            '([.][0-9]*?)0+\$', '\\\\1'), '[.]\$', '')"
        list+="${list:+, '\\x1f', }ifNull(toString($name), '\\\\N')"
    done <<<"$columns"
    from=$(ch_sql "$server" "SELECT if(count() = 0, '$table', '${table}_current')
                              FROM system.tables
                             WHERE database = '$db' AND name = '${table}_current'") || return 1
    ch_sql "$server" "SELECT concat(toString(count()), ' ', toString(sum(
                             reinterpretAsUInt64(reverse(substring(MD5(concat($list, '')), 1, 8))))))
                        FROM $from" "$db"
}
