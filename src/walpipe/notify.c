/* notify.c: see notify.h. */
#include "walpipe/notify.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "lib/clock.h"

/* A sign of life is due after half of the watchdog's time, as sd_watchdog_enabled(3) recommends. */
#define SIGNS_PER_PERIOD 2

/* A path, or with '@' in front a name in the abstract namespace. Returns -1 if it is neither. */
static int
connect_socket(const char *name)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    size_t len = strlen(name);
    int fd;

    if (len < 2 || len >= sizeof addr.sun_path || (name[0] != '/' && name[0] != '@'))
        return -1;
    memcpy(addr.sun_path, name, len);
    if (name[0] == '@')
        addr.sun_path[0] = '\0';
    fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -1;
    if (connect(fd, (struct sockaddr *)&addr,
                (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len)) == 0)
        return fd;
    close(fd);
    return -1;
}

/* The watchdog's time in microseconds. 0 if it watches no process or another one. */
static uint64_t
watchdog_micros(void)
{
    const char *micros = getenv("WATCHDOG_USEC"), *pid = getenv("WATCHDOG_PID");

    if (micros == NULL || (pid != NULL && strtol(pid, NULL, 10) != (long)getpid()))
        return 0;
    return strtoull(micros, NULL, 10);
}

void
notify_open(struct notify *notify, int ready_fd)
{
    const char *name = getenv("NOTIFY_SOCKET");

    /* unsetenv frees nothing, so name stays readable */
    *notify = (struct notify){
        .socket = name == NULL ? -1 : connect_socket(name), .name = name, .ready_fd = ready_fd};
    if (notify->socket >= 0)
        notify->every_micros = watchdog_micros() / SIGNS_PER_PERIOD;
    if (ready_fd >= 0)
        fcntl(ready_fd, F_SETFD, FD_CLOEXEC);
    unsetenv("NOTIFY_SOCKET");
    unsetenv("WATCHDOG_USEC");
    unsetenv("WATCHDOG_PID");
}

/* A message that the service manager does not take is dropped, and replication continues. */
static void
say(const struct notify *notify, const char *text)
{
    if (notify->socket >= 0)
        (void)!send(notify->socket, text, strlen(text), MSG_NOSIGNAL);
}

void
notify_ready(struct notify *notify)
{
    say(notify, "READY=1\nSTATUS=The pipeline's programs are running.");
    if (notify->ready_fd < 0 || notify->ready)
        return;
    (void)!write(notify->ready_fd, "\n", 1);
    close(notify->ready_fd);
    notify->ready = true;
}

void
notify_hand_on(const struct notify *notify)
{
    char micros[24];

    if (notify->socket >= 0)
        setenv("NOTIFY_SOCKET", notify->name, 1);
    if (notify->every_micros != 0) {
        snprintf(micros, sizeof micros, "%llu",
                 (unsigned long long)notify->every_micros * SIGNS_PER_PERIOD);
        setenv("WATCHDOG_USEC", micros, 1);
    }
    if (notify->ready_fd < 0)
        return;
    if (notify->ready) {
        int null = open("/dev/null", O_WRONLY | O_CLOEXEC);

        /* which may have the number already, since it was free */
        if (null >= 0)
            dup2(null, notify->ready_fd);
    }
    fcntl(notify->ready_fd, F_SETFD, 0);
}

void
notify_stopping(const struct notify *notify)
{
    say(notify, "STOPPING=1\nSTATUS=The pipeline drains.");
}

void
notify_status(const struct notify *notify, const char *format, ...)
{
    static const char name[] = "STATUS=";
    char text[512];
    va_list args;

    memcpy(text, name, sizeof name);
    va_start(args, format);
    vsnprintf(text + sizeof name - 1, sizeof text - sizeof name + 1, format, args);
    va_end(args);
    for (char *c = text; *c != '\0'; c++)
        if (*c == '\n')
            *c = ' ';
    say(notify, text);
}

uint64_t
notify_alive(struct notify *notify, uint64_t deadline)
{
    uint64_t now;

    if (notify->every_micros == 0)
        return deadline;
    now = clock_micros();
    if (now >= notify->next_sign) {
        say(notify, "WATCHDOG=1");
        notify->next_sign = now + notify->every_micros;
    }
    return deadline != 0 && deadline < notify->next_sign ? deadline : notify->next_sign;
}
