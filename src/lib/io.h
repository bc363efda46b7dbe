/* io.h: a filter's input and output, which are stdin and stdout, or --in and --out. */
#ifndef WALPIPE_IO_H
#define WALPIPE_IO_H

#include "lib/base.h"

/* How long --out and a worker's path wait for a peer that does not listen yet. */
#define IO_CONNECT_PATIENCE_MILLIS 10000

/* Opens the input, stdin for NULL. Otherwise the kind of path decides. "/dev/fd/N" is taken over. A
 * FIFO is opened for reading, which waits for its writer. On anything else a Unix socket listens
 * and waits for one peer. A terminal is refused. */
int io_open_input(const char *path, struct err *err) MUST_CHECK;

/* Opens the output, stdout for NULL. Otherwise the kind of path decides. A Unix socket (or nothing
 * yet) is connected to. Anything else (FIFO, file, /dev/fd/N) is opened for writing. "/dev/fd/N"
 * then takes N's place, so that no other descriptor holds the pipe open. A terminal is refused,
 * because frames would only disturb it. */
int io_open_output(const char *path, struct err *err) MUST_CHECK;

/* Makes fd non-blocking without changing it for the processes that share its open file description
 * (a shell, a neighbour). A pipe is opened anew. For a socket io_write_some uses MSG_DONTWAIT.
 * Returns the descriptor to use from now on, or -1 with err. */
int io_make_nonblocking(int fd, struct err *err) MUST_CHECK;

/* Writes all, and waits if it must. EPIPE is reported as "the next program in the pipeline is
 * gone". */
int io_write_all(int fd, struct bytes data, struct err *err) MUST_CHECK;

/* Writes as much as can be written now. Returns the number of bytes (0 for none now), or -1 with
 * err. */
int64_t io_write_some(int fd, struct bytes data, struct err *err) MUST_CHECK;

/* Tries to make the pipe hold size bytes. A failure is ignored. */
void io_enlarge_pipe(int fd, uint32_t size);

#endif
