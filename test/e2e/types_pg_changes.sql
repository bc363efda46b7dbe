-- The changes of types_pg.bats, on the source, in the session that has run types_pg.sql: for each
-- table a transaction of enough rows for a set-based way.

SET search_path = public, ext;
CREATE PROCEDURE pg_temp.each(prefix text, sql text) LANGUAGE plpgsql AS $$
DECLARE
    r record;
BEGIN
    FOR r IN SELECT * FROM types ORDER BY t LOOP
        IF to_regclass('public.' || prefix || r.t) IS NOT NULL THEN
            EXECUTE replace(replace(replace(replace(replace(sql, '@TABLE', 'public.' || prefix || r.t),
                '@TYPE', r.type), '@NAME', quote_literal(r.type)), '@COUNT', r.count::text), '@COPIES', r.copies::text);
            COMMIT;
        END IF;
    END LOOP;
END $$;

-- inserts
CALL pg_temp.each('v', 'INSERT INTO @TABLE SELECT (c - 1) * @COUNT + n, value::@TYPE, 0
    FROM cases, generate_series(1, @COPIES) AS c WHERE type = @NAME');
CALL pg_temp.each('k', 'INSERT INTO @TABLE SELECT value::@TYPE, c, 0 FROM cases, generate_series(1, @COPIES) AS c
    WHERE type = @NAME AND n % 2 = 1 ON CONFLICT DO NOTHING');
CALL pg_temp.each('f', 'INSERT INTO @TABLE SELECT n, value::@TYPE, c % 2 FROM cases, generate_series(1, @COPIES) AS c
    WHERE type = @NAME');
CALL pg_temp.each('f', 'DO $q$ BEGIN INSERT INTO @TABLE VALUES (0, NULL, 0), (0, NULL, 0), (NULL, NULL, NULL);
    EXCEPTION WHEN not_null_violation THEN NULL; END $q$');
CALL pg_temp.each('v', 'DO $q$ BEGIN INSERT INTO @TABLE SELECT -g, NULL, 0 FROM generate_series(1, 60) AS g;
    EXCEPTION WHEN not_null_violation THEN NULL; END $q$');

-- updates that leave the value alone
CALL pg_temp.each('v', 'UPDATE @TABLE SET n = n + 1');
CALL pg_temp.each('k', 'UPDATE @TABLE SET n = n + 1');
CALL pg_temp.each('f', 'UPDATE @TABLE SET n = n + 1 WHERE id % 2 = 0');

-- updates of the value
CALL pg_temp.each('v', 'UPDATE @TABLE AS t SET v = c.value::@TYPE, n = 2 FROM cases AS c
    WHERE c.type = @NAME AND c.n = abs(t.id + 1) % @COUNT + 1');
CALL pg_temp.each('f', 'UPDATE @TABLE AS t SET v = c.value::@TYPE FROM cases AS c
    WHERE c.type = @NAME AND c.n = t.id % @COUNT + 1 AND t.n = 1');

-- the key gets another value, where that is free
CALL pg_temp.each('k', 'DO $q$
    DECLARE
        c record;
    BEGIN
        FOR c IN SELECT a.value AS old, b.value AS new FROM cases AS a JOIN cases AS b USING (type)
                  WHERE type = @NAME AND a.n % 2 = 1 AND b.n = a.n + 1 LOOP
            BEGIN
                UPDATE @TABLE SET k = c.new::@TYPE, n = 3 WHERE k = c.old::@TYPE AND r % 4 > 0;
            EXCEPTION WHEN unique_violation THEN NULL;
            END;
        END LOOP;
    END $q$');

-- mixed changes of one transaction
CALL pg_temp.each('v', 'UPDATE @TABLE SET n = 4 WHERE id % 5 = 0; DELETE FROM @TABLE WHERE id % 3 = 0;
    INSERT INTO @TABLE SELECT 10000 + n, value::@TYPE, 5 FROM cases WHERE type = @NAME;
    UPDATE @TABLE SET v = (SELECT value FROM cases WHERE type = @NAME AND n = 1)::@TYPE WHERE id % 7 = 0;
    UPDATE @TABLE SET id = 20000 + id WHERE id % 11 = 0');
CALL pg_temp.each('k', 'DELETE FROM @TABLE WHERE r % 3 = 0; UPDATE @TABLE SET n = 6 WHERE r % 5 = 0');
CALL pg_temp.each('f', 'DELETE FROM @TABLE WHERE ctid IN (SELECT min(ctid) FROM @TABLE GROUP BY id)');
