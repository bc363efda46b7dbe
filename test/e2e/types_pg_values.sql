-- Every type with its values, for types_pg.bats: the temporary table `cases`, and `types`, which
-- numbers them.

SET client_min_messages = warning;
CREATE TEMP TABLE cases (type text, value text, n int);

CREATE PROCEDURE pg_temp.add(t text, VARIADIC v text[]) LANGUAGE sql AS
    'INSERT INTO cases SELECT t, u.v, u.n FROM unnest(v) WITH ORDINALITY AS u(v, n)';

CALL pg_temp.add('bool', 't', 'f');
CALL pg_temp.add('int2', '0', '-32768', '32767');
CALL pg_temp.add('int4', '0', '-2147483648', '2147483647', '-1');
CALL pg_temp.add('int8', '0', '-9223372036854775808', '9223372036854775807', '9007199254740993');
CALL pg_temp.add('numeric', '0', '-0.0', '1.0', '1.00', 'NaN', 'Infinity', '-Infinity',
    repeat('9', 400), '1e-16383', '1e131071', '-0.000000000000000000000000001', '123456789.987654321',
    '10000', '0.0001', '99999999.9999');
CALL pg_temp.add('numeric(30,10)', '0', '1.5', '-12345678901234567890.0123456789', 'NaN');
CALL pg_temp.add('float4', '0', '-0', 'NaN', 'Infinity', '-Infinity', '1e-45', '3.4028235e38',
    '1.1754942e-38', '0.1', '16777217', '9.99995e-41');
CALL pg_temp.add('float8', '0', '-0', 'NaN', 'Infinity', '-Infinity', '5e-324', '2.2250738585072011e-308',
    '1.7976931348623157e308', '0.1', '0.30000000000000004', '123456789012345680');
CALL pg_temp.add('money', '0', '-92233720368547758.08', '92233720368547758.07', '1234.56', '-0.01');
CALL pg_temp.add('text', '', ' ', 'NULL', 'null', '\N', '\.', E'\\.\n', '\', '\\', '\n', E'\t', E'\n', E'\r', E'\r\n',
    E'\b\f\v', '''', '"', '""', '{}', '{NULL}', '()', ',', ';', '$1', '%s%n', '$q$', '--', '/*', E'\x01\x1f\x7f',
    'äöü ß', '漢字', E'\U0001F600\U0001F468\u200D\U0001F469', E'e\u0301', E'\uFEFFbom', E'\u202Ertl',
    E'\uFFFE\uFFFF\U0010FFFF', repeat('long ', 300), ' lead and trail ', 'true', '0', '-0', 'NaN');
INSERT INTO cases SELECT 'text', 'character ' || chr(c), 1000 + c FROM generate_series(1, 255) AS c;
CALL pg_temp.add('varchar(10)', '', '          ', 'abc', 'äöü漢字ß   ');
CALL pg_temp.add('varchar', '', ' x ', '漢字');
CALL pg_temp.add('bpchar', '', 'x', 'abc  ', ' abc');
CALL pg_temp.add('char(8)', '', 'x', ' abc', 'äöü漢字ßxy', E'a\n\\', E'a\t');
CALL pg_temp.add('char(1)', '', 'x', ' ', '漢');
CALL pg_temp.add('name', '', 'pg_catalog', 'Odd "s', repeat('n', 63), repeat('ä', 31));
CALL pg_temp.add('"char"', '', 'a', '\', '"', E'\t', E'\n', E'\x7f');
CALL pg_temp.add('bytea', '', '\x00', '\x5c', '\xff', '\x5c303030', '\xdeadbeef',
    '\x0001');
INSERT INTO cases
    SELECT 'bytea', '\x' || string_agg(lpad(to_hex(b), 2, '0'), '' ORDER BY b), 100 FROM generate_series(0, 255) AS b;
CALL pg_temp.add('date', 'infinity', '-infinity', '4713-01-01 BC', '5874897-12-31', '0001-01-01',
    '0044-03-15 BC', '1999-12-31', '2000-01-01', '2024-02-29', '2024-03-04', '1582-10-10');
CALL pg_temp.add('time', '00:00:00', '24:00:00', '23:59:59.999999', '04:05:06.789');
CALL pg_temp.add('time(0)', '00:00:00', '24:00:00', '12:34:56');
CALL pg_temp.add('timetz', '00:00:00+15:59:59', '24:00:00-15:59:59', '04:05:06.789-8', '04:05:06+05:30');
CALL pg_temp.add('timestamp', 'infinity', '-infinity', '4713-01-01 00:00:00 BC', '294276-12-31 23:59:59.999999',
    '0044-03-15 12:00:00 BC', '2024-03-04 05:06:07.000001', '1883-11-18 12:03:58', '2024-02-29 23:59:60');
CALL pg_temp.add('timestamp(3)', 'infinity', '2024-03-04 05:06:07.001');
CALL pg_temp.add('timestamptz', 'infinity', '-infinity', '4713-01-01 00:00:00+00 BC', '294276-12-31 23:59:59.999999+00',
    '0044-03-15 12:00:00+01 BC', '2024-03-04 05:06:07.000001+09', '1883-11-18 12:03:58-05', '2024-10-27 02:30:00+01',
    '2024-10-27 02:30:00+02', '0001-01-01 00:00:00+00');
CALL pg_temp.add('interval', '0', '1 mon -1 days', '-1 mon 1 day -00:00:01', '1 year 2 mons 3 days 04:05:06.5',
    '-1 year -2 mons +3 days -04:05:06.5', '178000000 years', '-178000000 years', '1 day', '24:00:00', '30 days',
    '1 mon', '2147483647 days', '-2147483648 days', '00:00:00.000001', '-00:00:00.000001', '2562047788:00:54.775807');
CALL pg_temp.add('interval day to second(2)', '1 day 02:03:04.05', '-1 day +02:03:04.05');
CALL pg_temp.add('interval year to month', '1 year 2 mons', '-1 year -2 mons');
CALL pg_temp.add('uuid', '00000000-0000-0000-0000-000000000000', 'ffffffff-ffff-ffff-ffff-ffffffffffff',
    'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11');
CALL pg_temp.add('json', '{"a":1, "a":2,  "b" : null}', ' [ ] ', 'null', '"\u0000"', '1e400', '"\ud83d\ude00"', E'{"t":\n\t1}');
CALL pg_temp.add('jsonb', '{"a":1,"a":2}', '[]', 'null', '"null"', '1e400', '1.0', '1.00', '-0', '"\"\\\n\t"', '"漢字"',
    '{"b":[1,{"c":[[]]}],"":{}}', 'true');
CALL pg_temp.add('jsonpath', '$', '$.a[*] ? (@.b > 1 && @.c like_regex "^x")', 'strict $."odd \"key\""');
CALL pg_temp.add('xml', '', '<a b="c">&amp;&lt;</a>', 'content only', '<?xml version="1.0"?><r/>', '<!-- c --><r/><r/>',
    '<ä>漢字</ä>', E'<a>\n\t</a>');
CALL pg_temp.add('bit(1)', '0', '1');
CALL pg_temp.add('bit(11)', '00000000000', '11111111111', '10101010101');
CALL pg_temp.add('"bit"', '', '1', '0101');
CALL pg_temp.add('varbit', '', '0', '1', '000000000', repeat('10', 100));
CALL pg_temp.add('varbit(5)', '', '00000', '101');
CALL pg_temp.add('inet', '0.0.0.0', '255.255.255.255/0', '192.168.1.5/24', '::', '::ffff:1.2.3.4/96', 'fe80::1/64', '10.0.0.1');
CALL pg_temp.add('cidr', '0.0.0.0/0', '10.0.0.0/8', '10.0.0.1/32', '::/0', '2001:db8::/32');
CALL pg_temp.add('macaddr', '00:00:00:00:00:00', 'ff:ff:ff:ff:ff:ff', '08:00:2b:01:02:03');
CALL pg_temp.add('macaddr8', '00:00:00:00:00:00:00:00', 'ff:ff:ff:ff:ff:ff:ff:ff', '08:00:2b:01:02:03:04:05');
CALL pg_temp.add('point', '(0,-0)', '(1e-300,1e300)', '(NaN,Infinity)', '(0.1,0.30000000000000004)');
CALL pg_temp.add('line', '{1,-1,0}', '{0.1,0,3}');
CALL pg_temp.add('lseg', '[(0,0),(1,1)]', '[(1,1),(0.1,-Infinity)]');
CALL pg_temp.add('box', '(1,1),(0,0)', '(0.3,0.2),(0.1,-5)');
CALL pg_temp.add('path', '[(0,0),(1,1)]', '((0,0),(1,1),(2,0.1))', '((1,1))');
CALL pg_temp.add('polygon', '((0,0))', '((0,0),(1,1),(2,0.1))');
CALL pg_temp.add('circle', '<(0,0),0>', '<(1.5,-2),0.1>', '<(0,0),Infinity>');
CALL pg_temp.add('tsvector', '', 'a', '''it''''s'':1A,3B ''\\x'' b:16383', '''two words'' ''漢''');
CALL pg_temp.add('tsquery', 'a', '!a & (b | c:AB*) <-> d', '''it''''s'' <3> x');
CALL pg_temp.add('int4range', 'empty', '(,)', '[1,5)', '[2147483646,)', '(,-5)');
CALL pg_temp.add('int8range', 'empty', '[1,9223372036854775807)');
CALL pg_temp.add('numrange', '[1.0,1.00]', '(1.5,)', '[-Infinity,NaN]');
CALL pg_temp.add('daterange', '[infinity,infinity]', '[2024-01-01,2025-01-01)', '[,"0044-03-15 BC")');
CALL pg_temp.add('tsrange', '["2024-03-04 05:06:07",infinity)', '[-infinity,]');
CALL pg_temp.add('tstzrange', '["2024-03-04 05:06:07+09","2024-03-05 00:00:00+00"]', 'empty');
CALL pg_temp.add('int4multirange', '{}', '{(,)}', '{[1,2),[5,9)}');
CALL pg_temp.add('tstzmultirange', '{}', '{["2024-03-04 05:06:07+09","2024-03-05 00:00:00+00"]}');
CALL pg_temp.add('pg_lsn', '0/0', 'FFFFFFFF/FFFFFFFF', '16/B374D848');
CALL pg_temp.add('oid', '0', '4294967295', '16384');
CALL pg_temp.add('xid', '0', '4294967295', '3');
CALL pg_temp.add('xid8', '0', '18446744073709551615');
CALL pg_temp.add('cid', '0', '4294967295');
CALL pg_temp.add('tid', '(0,0)', '(4294967295,65535)');
CALL pg_temp.add('pg_snapshot', '1:1:', '10:20:10,14,15');
CALL pg_temp.add('txid_snapshot', '1:1:', '10:20:10,14,15');
CALL pg_temp.add('int2vector', '1 2 3', '0');
CALL pg_temp.add('oidvector', '1 2 3', '0');
CALL pg_temp.add('refcursor', '', 'a "c"');
CALL pg_temp.add('aclitem', '=r/postgres', 'postgres=arwdDxt/postgres');
CALL pg_temp.add('regtype', '-', 'integer', 'pg_catalog.text', 'timestamp with time zone', '"char"');
CALL pg_temp.add('regproc', '-', 'pg_catalog.now');
CALL pg_temp.add('regprocedure', '-', 'pg_catalog.abs(integer)');
CALL pg_temp.add('regoperator', '0', 'pg_catalog.+(integer,integer)');
CALL pg_temp.add('regnamespace', '-', 'pg_catalog');
CALL pg_temp.add('int4[]', '{}', '{1,NULL,-3}', '{{1,2},{3,4}}', '[0:2]={1,2,3}', '[-1:0][5:6]={{1,2},{3,NULL}}', '{NULL}');
CALL pg_temp.add('text[]', '{}', '{NULL,"NULL",null}', '{"",""}', '{"a b","c\"d","e\\f","g,h","{i}"}', '{{"a b",c},{NULL,"NULL"}}',
    E'{"tab\tnew\nline","漢字"," x "}', '{\\N}');
CALL pg_temp.add('bool[]', '{t,f,NULL}');
CALL pg_temp.add('bytea[]', '{"\\x00ff",NULL,"\\x"}');
CALL pg_temp.add('numeric(8,2)[]', '{1.5,NaN,NULL}', '{{1},{2}}');
CALL pg_temp.add('float8[]', '{-0,NaN,Infinity,5e-324}');
CALL pg_temp.add('timestamptz[]', '{infinity,"2024-03-04 05:06:07+09",NULL}');
CALL pg_temp.add('interval[]', '{"1 mon -1 days",NULL}');
CALL pg_temp.add('jsonb[]', '{"{\"a\": [1, null]}","null",NULL}');
CALL pg_temp.add('box[]', '{(1,1),(0,0);(2,2),(1,1)}', '{NULL;(1,1),(0,0)}');
CALL pg_temp.add('char(3)[]', '{a,"b  ",NULL}');
CALL pg_temp.add('bit(2)[]', '{01,10}');
CALL pg_temp.add('int4range[]', '{empty,"[1,2)",NULL}');
CALL pg_temp.add('mood', 'sad', 'ok', 'it''s "fine", {so} \ far', '');
CALL pg_temp.add('small', '1', '999');
CALL pg_temp.add('given', '', 'x', 'NULL');
CALL pg_temp.add('cici', 'ABC', 'abd', 'Äß');
CALL pg_temp.add('ext.citext', 'ABC', 'abd', 'Äß', '');
CALL pg_temp.add('ext.hstore', '', '"a"=>"1", "b"=>NULL', '"q\"u"=>"NULL", ""=>"漢"');
CALL pg_temp.add('ext.ltree', '', 'Top.Science.Astronomy');
CALL pg_temp.add('ext.lquery', '*.a*|b{1,2}.c@');
CALL pg_temp.add('ext.cube', '(1,2),(3,4)', '(0.1)', '(-0,Infinity)');
CALL pg_temp.add('mood[]', '{}', '{sad,NULL,"it''s \"fine\", {so} \\ far",""}');
CALL pg_temp.add('moods', '{}', '{sad,NULL}');
CALL pg_temp.add('ext.citext[]', '{ABC,abd,NULL}', '{}');
CALL pg_temp.add('ext.hstore[]', '{"\"a\"=>\"1\"",NULL}');
-- Their binary format is the source's oids; or nothing says that the parts are of the same types.
\if :binary
\else
-- Some servers refuse an empty one in binary format.
CALL pg_temp.add('tsquery', '');
CALL pg_temp.add('float_range', '[0.1,0.30000000000000004)', '(,NaN]');
CALL pg_temp.add('float_multirange', '{}', '{[0.1,0.2),[1,)}');
CALL pg_temp.add('small[]', '{1,NULL,999}');
CALL pg_temp.add('float_range[]', '{"[0.1,0.2)",empty}');
CALL pg_temp.add('"Odd ""s"."Ty pe"', '(,,,)', '(1,"a ""b"", \\ (c)",ok,"{1.50,NULL}")', '(,"",,)');
CALL pg_temp.add('"Odd ""s"."Ty pe"[]', '{}', '{"(1,x,sad,{})",NULL}');
CALL pg_temp.add('nest', '(,,)', '("(1,""a b"",sad,{1.00})","{""(2,,,)"",NULL}","2024-03-04 05:06:07+09")');
CALL pg_temp.add('regclass', '"Odd ""s"."ta ble"', 'pg_catalog.pg_class');
CALL pg_temp.add('regclass[]', '{pg_catalog.pg_class,NULL,"\"Odd \"\"s\".\"ta ble\""}');
\endif

CREATE TEMP TABLE types AS
    SELECT type, count(*)::int AS count, 1 + 60 / count(*)::int AS copies,
           row_number() OVER (ORDER BY type COLLATE "C") AS t FROM cases GROUP BY type;
UPDATE cases SET n = d.place FROM (SELECT ctid AS c, row_number() OVER (PARTITION BY type ORDER BY n) AS place FROM cases) AS d
 WHERE cases.ctid = d.c;
