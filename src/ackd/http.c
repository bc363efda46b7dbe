/* http.c: the status page, /healthz, /metrics and the others by libmicrohttpd, driven by our own
 * poll. The library's epoll descriptor is one slot of that poll, and no thread is started. This
 * file must not know the contents of the pages. */
#include "ackd/http.h"

#include <errno.h>
#include <microhttpd.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ackd/metrics.h"
#include "ackd/page.h"
#include "ackd/report.h"
#include "ackd/statusjson.h"

/* Enough for a scraper, a health checker and a person, and for new connections of each before the
 * old ones are closed. */
#define HTTP_CONNECTIONS_MAX 32
#define HTTP_TIMEOUT_SECONDS 10

struct http {
    struct ackd *ackd;
    struct MHD_Daemon *daemon;
    int epoll;
};

/* ---- answers ---- */

struct answer {
    unsigned status;
    const char *type;
    struct buf page;
    char policy[PAGE_POLICY_SIZE]; /* "" for none */
};

static enum MHD_Result
send_answer(struct MHD_Connection *connection, struct answer *a)
{
    struct MHD_Response *response;
    enum MHD_Result result;

    if (a->page.failed) {
        buf_free(&a->page);
        return MHD_NO; /* closes the connection */
    }
    response =
        MHD_create_response_from_buffer(buf_len(&a->page), a->page.data, MHD_RESPMEM_MUST_FREE);
    if (response == NULL) {
        buf_free(&a->page);
        return MHD_NO;
    }
    MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, a->type);
    MHD_add_response_header(response, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
    MHD_add_response_header(response, "X-Content-Type-Options", "nosniff");
    MHD_add_response_header(response, "Referrer-Policy", "no-referrer");
    if (a->policy[0] != '\0')
        MHD_add_response_header(response, "Content-Security-Policy", a->policy);
    if (a->status == MHD_HTTP_METHOD_NOT_ALLOWED)
        MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, "GET, HEAD");
    result = MHD_queue_response(connection, a->status, response);
    MHD_destroy_response(response);
    return result;
}

static void
answer_page(const struct ackd *ackd, struct MHD_Connection *connection, struct answer *a)
{
    (void)ackd;
    (void)connection;
    a->type = "text/html; charset=utf-8";
    if (page_render(&a->page, a->policy) != 0)
        a->page.failed = true;
}

static void
answer_json(const struct ackd *ackd, struct MHD_Connection *connection, struct answer *a)
{
    const char *since = MHD_lookup_connection_value(connection, MHD_GET_ARGUMENT_KIND, "since");

    a->type = "application/json";
    statusjson_render(ackd, since == NULL ? 0 : strtoll(since, NULL, 10), &a->page);
}

static void
answer_metrics(const struct ackd *ackd, struct MHD_Connection *connection, struct answer *a)
{
    (void)connection;
    a->type = "text/plain; version=0.0.4; charset=utf-8";
    metrics_render(ackd, &a->page);
}

static void
answer_health(const struct ackd *ackd, struct MHD_Connection *connection, struct answer *a)
{
    (void)connection;
    if (!report_health(ackd, &a->page))
        a->status = MHD_HTTP_SERVICE_UNAVAILABLE;
}

static void
answer_ready(const struct ackd *ackd, struct MHD_Connection *connection, struct answer *a)
{
    (void)connection;
    if (!report_ready(ackd, &a->page))
        a->status = MHD_HTTP_SERVICE_UNAVAILABLE;
}

static void
answer_live(const struct ackd *ackd, struct MHD_Connection *connection, struct answer *a)
{
    (void)ackd;
    (void)connection;
    buf_append(&a->page, "ok\n", 3);
}

static void
answer_nothing(struct answer *a)
{
    static const char nothing[] = "there is /, /status.json, /healthz, /livez, /readyz and "
                                  "/metrics\n";

    a->status = MHD_HTTP_NOT_FOUND;
    buf_append(&a->page, nothing, sizeof nothing - 1);
}

static enum MHD_Result
answer(void *closure, struct MHD_Connection *connection, const char *url, const char *method,
       const char *version, const char *upload_data, size_t *upload_size, void **state)
{
    static const struct {
        const char *url;
        void (*make)(const struct ackd *, struct MHD_Connection *, struct answer *);
    } pages[] = {{"/", answer_page},           {"/status.json", answer_json},
                 {"/metrics", answer_metrics}, {"/healthz", answer_health},
                 {"/readyz", answer_ready},    {"/livez", answer_live}};
    const struct http *http = closure;
    struct answer a = {.status = MHD_HTTP_OK, .type = "text/plain; charset=utf-8"};

    (void)version;
    (void)upload_data;
    (void)upload_size;
    (void)state;
    if (strcmp(method, MHD_HTTP_METHOD_GET) != 0 && strcmp(method, MHD_HTTP_METHOD_HEAD) != 0) {
        a.status = MHD_HTTP_METHOD_NOT_ALLOWED;
        buf_append(&a.page, "only GET and HEAD\n", 18);
        return send_answer(connection, &a);
    }
    for (size_t i = 0; i < sizeof pages / sizeof *pages; i++)
        if (strcmp(url, pages[i].url) == 0) {
            pages[i].make(http->ackd, connection, &a);
            return send_answer(connection, &a);
        }
    answer_nothing(&a);
    return send_answer(connection, &a);
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
