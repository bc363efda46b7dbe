#!/usr/bin/env bats
# sink-ch alone: the values of every type.

load sink-ch

# ---- values ----

@test "every type this ClickHouse has, in and out again (traps 118 to 123, 131)" {
    q "CREATE TABLE t (id Int64, i8 Int8, u8 UInt8, u64 UInt64, f32 Float32, f64 Float64, d9 Decimal(9, 2),
        d38 Decimal(38, 10), s String, fs FixedString(4), uu UUID, d Date, dt DateTime, dtz DateTime('Asia/Tokyo'),
        e8 Enum8('a' = 1, 'b\'c' = -2), e16 Enum16('x' = 1000), arr Array(Nullable(Int32)), ars Array(String),
        ni Nullable(Int32), nd Nullable(Date), nu Nullable(UUID), nf Nullable(FixedString(2)), raw String, js String,
        _version UInt64, _is_deleted UInt8) ENGINE = ReplacingMergeTree(_version) ORDER BY id"
    events >"$DIR/in" <<'EOF'
names = "id i8 u8 u64 f32 f64 d9 d38 s fs uu d dt dtz e8 e16 arr ars ni nd nu nf raw js".split()
oids = [20, 21, 16, 1700, 700, 701, 1700, 1700, 25, 1042, 2950, 1082, 1114, 1184, 20000, 20000, 1007, 1009, 23, 1082, 2950, 25, 17, 3802]
e.table(1, "public", "t", [col(n, n == "id", o) for n, o in zip(names, oids)])
e.begin()
e.insert(1, ["-9223372036854775808", "-128", "t", "18446744073709551615", "3.4028235e+38", "-1.7976931348623157e+308", "-9999999.99",
    "9999999999999999999999999999.9999999999", "t\tab\n\u00e4", "ab  ", "00112233-4455-6677-8899-aabbccddeeff", "2105-12-31",
    "2105-12-31 23:59:59", "2021-03-14 02:30:00+00", "b'c", "x", "{1,NULL,-3}", '{a,"b,\\"c",NULL_}', None, None, None, None, "\\x00ff5c", '{"a": 1}'])
e.insert(1, ["2", "127", "f", "0", "NaN", "-Infinity", "0", "0.0000000001", "", "", "ffffffff-ffff-ffff-ffff-ffffffffffff", "1970-01-01",
    "1970-01-01 00:00:00", "1970-01-01 00:00:00+00", "a", "x", "{}", "{}", "-1", "2020-01-01", "00112233-4455-6677-8899-aabbccddeeff", "z", "\\x", "null"])
e.commit(); e.end()
EOF
    sink <"$DIR/in"
    is "SELECT id, i8, u8, u64, f32, f64, d9, d38, hex(s), hex(fs), uu, toUInt16(d), toUInt32(dt), toUInt32(dtz), e8, e16, arr, ars, ni, nd, nu, hex(nf), hex(raw), js FROM t ORDER BY id" \
        "-9223372036854775808 -128 1 18446744073709551615 3.4028235e38 -1.7976931348623157e308 -9999999.99 9999999999999999999999999999.9999999999 740961620AC3A4 61622020 00112233-4455-6677-8899-aabbccddeeff 49672 4291747199 1615689000 b\\'c x [1,NULL,-3] ['a','b,\"c','NULL_'] \\N \\N \\N \\N 00FF5C {\"a\": 1}
2 127 0 0 nan -inf 0.00 0.0000000001  00000000 ffffffff-ffff-ffff-ffff-ffffffffffff 0 0 0 a x [] [] -1 2020-01-01 00112233-4455-6677-8899-aabbccddeeff 7A00  null"
}

@test "the binary format gives the same rows as text (trap 69)" {
    q "CREATE TABLE t (id Int64, b UInt8, f Float64, n Decimal(18, 4), s String, u UUID, d Date, ts DateTime, j String, raw String,
        _version UInt64, _is_deleted UInt8) ENGINE = ReplacingMergeTree(_version) ORDER BY id"
    events >"$DIR/in" <<'EOF'
import struct
e.table(1, "public", "t", [col("id", True, INT8), col("b", oid=16), col("f", oid=701), col("n", oid=1700), col("s"), col("u", oid=2950),
    col("d", oid=1082), col("ts", oid=1114), col("j", oid=3802), col("raw", oid=17)])
e.begin()
e.insert(1, ["1", "t", "0.1", "-12345.6789", "text", "00112233-4455-6677-8899-aabbccddeeff", "2020-02-29", "2020-02-29 12:34:56", "{}", "\\x00ff"])
e.insert(1, [struct.pack(">q", 2), b"\1", struct.pack(">d", 0.1), struct.pack(">HhHHHHH", 3, 1, 0x4000, 4, 1, 2345, 6789), b"text",
    bytes.fromhex("00112233445566778899aabbccddeeff"), struct.pack(">i", 7364), struct.pack(">q", (7364 * 86400 + 45296) * 10**6), b"\1{}", b"\x00\xff"])
e.commit(); e.end()
EOF
    sink <"$DIR/in"
    is "SELECT count(), uniq(b, f, n, s, u, d, ts, j, raw), any(n), any(ts) FROM t" "2 1 -12345.6789 2020-02-29 12:34:56"
}

@test "a value that does not fit stops the sink and names table, column, value and LSN (traps 118, 119, 121)" {
    while IFS='|' read -r type oid value reason; do
        q "DROP TABLE IF EXISTS t"
        table t "id Int32, v $type" id
        events >"$DIR/in" <<EOF
e.table(1, "public", "t", [col("id", True, INT4), col("v", oid=$oid)])
e.begin(); e.insert(1, ["1", $value]); e.commit(); e.end()
EOF
        : >"$DIR/log"
        exits 100 sink <"$DIR/in"
        log_has 'cannot write column \"v\" of table \"public.t\"'
        log_has "$reason"
        log_has '"relation":"public.t","lsn":"0/2000"'
        is "SELECT count() FROM t" 0
    done <<'EOF'
Int8|23|"300"|value \"300\": too large
Date|1082|"1969-12-31"|too small
Date|1082|"infinity"|too large
Date|1082|"2106-01-01"|too large
DateTime|1114|"2106-01-01 00:00:00"|too large
DateTime|1114|"2020-01-01 00:00:00.5"|fraction of a second
Decimal(9,2)|1700|"1.005"|more digits
Decimal(9,2)|1700|"NaN"|NaN
Int64|20|None|null, and the column is not Nullable
FixedString(2)|25|"abc"|do not fit
Enum8('a'=1)|25|"b"|no such value
Array(Int32)|1007|"{{1}}"|more dimensions
DateTime|1114|b"123"|malformed binary value of type timestamp
Array(Int32)|1007|b"123"|malformed binary value of type int4[]
String|16400|b"123"|binary format of type oid 16400
EOF
    reached_is 0
}

@test "a key that does not fit is refused under every --on-overflow: two rows would become one" {
    table t "id Int8, v Nullable(Int8)" id
    events >"$DIR/in" <<'EOF'
e.table(1, "public", "t", [col("id", True, INT4), col("v", oid=INT4)])
e.begin(); e.insert(1, ["127", "300"]); e.commit()
e.begin(); e.delete(1, key=["128", None]); e.commit()
e.end()
EOF
    for policy in clamp null; do
        : >"$DIR/log"
        exits 100 sink --on-overflow "$policy" <"$DIR/in"
        log_has 'cannot write column \"id\" of table \"public.t\"'
        log_has 'row (id) = (128): value \"128\": too large'
        log_has '"lsn":"0/2100"'
    done
    exits 100 sink --on-overflow wrap </dev/null
    log_has '--on-overflow: \"wrap\" is not error, clamp or null'
}
