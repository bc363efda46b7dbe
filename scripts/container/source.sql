-- source.sql: the database of compose.yaml's source.
CREATE TABLE item (id int PRIMARY KEY, name text NOT NULL);
INSERT INTO item VALUES (1, 'apple'), (2, 'pear'), (3, 'plum');
CREATE PUBLICATION orders FOR ALL TABLES;
