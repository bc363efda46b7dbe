/* limits.h: every maximum that several rooms rely on, with its reason. */
#ifndef WALPIPE_LIMITS_H
#define WALPIPE_LIMITS_H

/* A pgoutput message is one StringInfo, which PostgreSQL limits to 1 GiB - 1 (MaxAllocSize). An
 * event is at most a few bytes per column longer than the message it came from. */
#define FRAME_MAX ((1u << 30) + (64u << 10))

/* Acks, barriers and status are small. A status of 1,000 workers with an error text each fits. */
#define ACK_FRAME_MAX (1u << 20)

/* MaxTupleAttributeNumber of PostgreSQL. A table has at most 1,600 columns. */
#define COLUMNS_MAX 1664

/* Relations of one TRUNCATE, which is one message. A database with more than 100,000 tables in one
 * TRUNCATE has not been seen. */
#define TRUNCATE_RELATIONS_MAX 100000u

/* NAMEDATALEN - 1. Servers built with a longer NAMEDATALEN are refused with a clear message. */
#define NAME_MAX_BYTES 63

/* sockaddr_un.sun_path holds 108 bytes with its NUL. */
#define SOCKET_PATH_MAX 107

/* The size of a stream reader's read(2), and the bytes that a writer collects before one
 * write(2). */
#define IO_CHUNK (256u << 10)

/* Rows of a batch. ClickHouse takes an INSERT as one block, all or nothing, up to
 * max_insert_block_size, by default 1,048,576 rows. sink-ch lets the batch of an open transaction
 * grow to twice this. */
#define BATCH_ROWS_MAX 500000u

/* Connections that pg-table-read reads over; each costs the source a backend. */
#define COPY_WORKERS_MAX 32

/* Tables that a sink parks per minute. Each ends the run, and a start takes about a second. */
#define PARK_LIMIT_DEFAULT 5
#define PARK_LIMIT_MAX     1000u

/* Bytes of changes that may wait in a target while a table without a key is copied. They are rows
 * of a table there, so the disk is the limit. This one only catches a slip. */
#define HOLD_BYTES_MAX (UINT64_C(1) << 40)

/* Workers of all sinks together that ackd and route hold tables for. */
#define WORKERS_MAX 256u

#endif
