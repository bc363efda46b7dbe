/* io.h: a filter's input and output: stdin and stdout, or --in and --out. */
#ifndef WALPIPE_IO_H
#define WALPIPE_IO_H

#include "lib/base.h"

/* How long --out and a worker's path wait for a peer that does not listen yet. */
#define IO_CONNECT_PATIENCE_MILLIS 10000

/* The input: stdin for NULL; else path, by what it is: "/dev/fd/N" is taken over, a FIFO opened for
 * reading, which waits for its writer; on anything else a Unix socket listens and waits for one
 * peer. A terminal is refused. */
int io_open_input(const char *path, struct err *err) MUST_CHECK;

/* The output: stdout for NULL; else path, by what it is: a Unix socket (or nothing yet) is
 * connected to, anything else (FIFO, file, /dev/fd/N) opened for writing; "/dev/fd/N" then takes
 * N's place, so that nobody else holds the pipe open. A terminal is refused: frames would only
 * disturb it. */
int io_open_output(const char *path, struct err *err) MUST_CHECK;

/* Makes fd non-blocking without changing it for the processes that share its open file
 * description (a shell, a neighbour): a pipe is opened anew, a socket's messages are sent with
 * MSG_DONTWAIT by io_write_some. Returns the descriptor to use from now on, or -1 with err. */
int io_make_nonblocking(int fd, struct err *err) MUST_CHECK;

/* Writes all; waits where it must. EPIPE is "the next program in the pipeline is gone". */
int io_write_all(int fd, struct bytes data, struct err *err) MUST_CHECK;

/* Writes what can be written now: the number of bytes (0: none now), or -1 with err. */
int64_t io_write_some(int fd, struct bytes data, struct err *err) MUST_CHECK;

/* Best effort: a pipe that holds size bytes. */
void io_enlarge_pipe(int fd, uint32_t size);

#endif
