/* pieces.h: the COPYs that read a range of blocks. Pure.
 *
 * A worker writes a range without looking at the stream, so the rows under one snapshot become
 * several ranges of about PIECE_BYTES. Each has its relation in front, which may be large. There
 * are two ways to find where one ends and the next begins. A single COPY with the ctid of each row
 * is cut behind any row. Where the number of bytes in a block is known, each of these ranges gets a
 * COPY of its own, without the ctid. The source needs a fifth of its time for the ctids. */
#ifndef WALPIPE_PGTABLEREAD_PIECES_H
#define WALPIPE_PGTABLEREAD_PIECES_H

#include "pg-table-read/order.h"

/* A range ends behind the row that reaches this many bytes of rows, because a worker holds all
 * ranges in flight. */
#define RANGE_BYTES_MAX (4u << 20)

#define PIECE_BYTES      (128u << 10)
#define PIECE_DESCRIBED  16
#define RANGE_PIECES_MAX (RANGE_BYTES_MAX / PIECE_BYTES + 1)

/* A COPY without ctids that sends more than this is given up. Its blocks have more than was known,
 * so it is read again with ctids. */
#define PIECE_BYTES_MOST (8 * PIECE_BYTES)

/* How many blocks a COPY without ctids reads of this order; 0 where they are needed. */
uint32_t pieces_blocks(const struct range_order *order, int server_version);

/* The blocks of COPY number n, from 0 on. False behind the last one. */
bool pieces_take(const struct range_order *order, uint32_t n, struct span *span);

#endif
