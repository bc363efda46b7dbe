/* http.c: /healthz, /livez, /readyz and /metrics by libmicrohttpd, driven by our own poll. The
 * library's epoll descriptor is one slot of that poll, and no thread is started. This file must not
 * know the contents of the pages. */
#include "ackd/http.h"

#include <errno.h>
#include <microhttpd.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ackd/report.h"

/* Enough for a scraper, a health checker, a person, and their successors. */
#define HTTP_CONNECTIONS_MAX 32
#define HTTP_TIMEOUT_SECONDS 10

struct http {
    struct ackd *ackd;
    struct MHD_Daemon *daemon;
    int epoll;
};

/* ---- answers ---- */

static enum MHD_Result
send_page(struct MHD_Connection *connection, unsigned status, const char *type, struct buf *page)
{
    struct MHD_Response *response;
    enum MHD_Result result;

    if (page->failed) {
        buf_free(page);
        return MHD_NO; /* closes the connection */
    }
    response = MHD_create_response_from_buffer(buf_len(page), page->data, MHD_RESPMEM_MUST_FREE);
    if (response == NULL) {
        buf_free(page);
        return MHD_NO;
    }
    MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, type);
    MHD_add_response_header(response, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
    if (status == MHD_HTTP_METHOD_NOT_ALLOWED)
        MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, "GET, HEAD");
    result = MHD_queue_response(connection, status, response);
    MHD_destroy_response(response);
    return result;
}

static enum MHD_Result
answer(void *closure, struct MHD_Connection *connection, const char *url, const char *method,
       const char *version, const char *upload_data, size_t *upload_size, void **state)
{
    static const char text[] = "text/plain; charset=utf-8";
    static const char nothing[] = "there is /healthz, /livez, /readyz and /metrics\n";
    const struct http *http = closure;
    struct buf page = {0};
    unsigned status = MHD_HTTP_OK;

    (void)version;
    (void)upload_data;
    (void)upload_size;
    (void)state;
    if (strcmp(method, MHD_HTTP_METHOD_GET) != 0 && strcmp(method, MHD_HTTP_METHOD_HEAD) != 0) {
        buf_append(&page, "only GET and HEAD\n", 18);
        return send_page(connection, MHD_HTTP_METHOD_NOT_ALLOWED, text, &page);
    }
    if (strcmp(url, "/metrics") == 0) {
        metrics_render(http->ackd, &page);
        return send_page(connection, status, "text/plain; version=0.0.4; charset=utf-8", &page);
    }
    if (strcmp(url, "/healthz") == 0) {
        if (!report_health(http->ackd, &page))
            status = MHD_HTTP_SERVICE_UNAVAILABLE;
        return send_page(connection, status, text, &page);
    }
    if (strcmp(url, "/readyz") == 0) {
        if (!report_ready(http->ackd, &page))
            status = MHD_HTTP_SERVICE_UNAVAILABLE;
        return send_page(connection, status, text, &page);
    }
    if (strcmp(url, "/livez") == 0) {
        buf_append(&page, "ok\n", 3);
        return send_page(connection, status, text, &page);
    }
    buf_append(&page, nothing, sizeof nothing - 1);
    return send_page(connection, MHD_HTTP_NOT_FOUND, text, &page);
}

static void
log_library(void *closure, const char *fmt, va_list ap)
{
    const struct ackd *a = closure;
    char text[256];

    vsnprintf(text, sizeof text, fmt, ap);
    text[strcspn(text, "\n")] = '\0';
    log_write(&a->log, LOG_DEBUG, "libmicrohttpd: %s", text);
}

/* ---- listening ---- */

struct host_port {
    char host[256];
    char port[8];
};

static int
split_address(const char *address, struct host_port *out, struct err *err)
{
    const char *colon = strrchr(address, ':');
    const char *host = address;
    size_t len = colon == NULL ? 0 : (size_t)(colon - address);

    if (len >= 2 && host[0] == '[' && host[len - 1] == ']') {
        host++;
        len -= 2;
    }
    if (len == 0 || len >= sizeof out->host || colon[1] == '\0' ||
        strlen(colon + 1) >= sizeof out->port ||
        strspn(colon + 1, "0123456789") < strlen(colon + 1))
        return err_set(err, EXIT_REFUSED,
                       "--http: \"%s\" is not ADDRESS:PORT, like 127.0.0.1:9187 or [::1]:9187",
                       address);
    snprintf(out->host, sizeof out->host, "%.*s", (int)len, host);
    snprintf(out->port, sizeof out->port, "%s", colon + 1);
    return 0;
}

static int
bind_failed(int fd, const char *address, struct err *err)
{
    /* The address is in use, most likely by the ackd before this one, which is about to end. */
    enum exit_code code = errno == EADDRINUSE ? EXIT_PEER : EXIT_REFUSED;

    err_set(err, code, "could not listen on \"%s\" for HTTP: %s", address, strerror(errno));
    err_hint(err, "every pipeline needs an http address of its own");
    if (fd >= 0)
        close(fd);
    return -1;
}

static int
listen_at(const char *address, struct err *err)
{
    struct addrinfo wanted = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
    struct addrinfo *found = NULL;
    struct host_port where;
    int why, fd, yes = 1;

    if (split_address(address, &where, err) != 0)
        return -1;
    why = getaddrinfo(where.host, where.port, &wanted, &found);
    if (why != 0)
        return err_set(err, EXIT_REFUSED, "could not look up \"%s\" for HTTP: %s", address,
                       gai_strerror(why));
    fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd >= 0)
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    if (fd < 0 || bind(fd, found->ai_addr, found->ai_addrlen) != 0 || listen(fd, 16) != 0)
        fd = bind_failed(fd, address, err);
    freeaddrinfo(found);
    return fd;
}

static struct MHD_Daemon *
start_daemon(struct http *http, int listener)
{
    return MHD_start_daemon(MHD_USE_EPOLL | MHD_USE_ERROR_LOG, 0, NULL, NULL, answer, http,
                            MHD_OPTION_EXTERNAL_LOGGER, log_library, http->ackd,
                            MHD_OPTION_LISTEN_SOCKET, listener, MHD_OPTION_CONNECTION_LIMIT,
                            (unsigned)HTTP_CONNECTIONS_MAX, MHD_OPTION_CONNECTION_TIMEOUT,
                            (unsigned)HTTP_TIMEOUT_SECONDS, MHD_OPTION_END);
}

struct http *
http_open(struct ackd *ackd, const char *address, struct err *err)
{
    struct http *http;
    int listener = listen_at(address, err);

    if (listener < 0)
        return NULL;
    http = calloc(1, sizeof *http);
    if (http == NULL) {
        err_set(err, EXIT_PEER, "out of memory");
        close(listener);
        return NULL;
    }
    http->ackd = ackd;
    http->daemon = start_daemon(http, listener);
    if (http->daemon == NULL) {
        err_set(err, EXIT_PEER, "could not start libmicrohttpd on \"%s\"", address);
        close(listener);
        free(http);
        return NULL;
    }
    http->epoll = MHD_get_daemon_info(http->daemon, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd;
    log_write(&ackd->log, LOG_INFO, "HTTP on %s, port %u", address,
              (unsigned)MHD_get_daemon_info(http->daemon, MHD_DAEMON_INFO_BIND_PORT)->port);
    return http;
}

void
http_close(struct http *http)
{
    if (http == NULL)
        return;
    MHD_stop_daemon(http->daemon);
    free(http);
}

int
http_descriptor(const struct http *http)
{
    return http->epoll;
}

uint64_t
http_deadline(const struct http *http, uint64_t now)
{
    MHD_UNSIGNED_LONG_LONG millis;

    if (MHD_get_timeout(http->daemon, &millis) != MHD_YES)
        return 0;
    return now + (uint64_t)millis * 1000;
}

void
http_turn(struct http *http)
{
    MHD_run(http->daemon);
}
