/* chhttp.c: the meaning of an HTTP answer of ClickHouse, from status, exception header and body.
 * http.c is included, because its judgement is static.
 * links: lib/buf lib/err sink-ch/errorcode; libs: -lcurl */
#include "sink-ch/http.c"

#include "input.h"

static void
try_answer(struct http *http, struct cursor input, long status, bool expect_empty)
{
    const struct http_request request = {.expect_empty = expect_empty};
    struct http_answer answer = {0};
    enum http_outcome outcome;
    struct bytes piece;

    http->answer = &answer;
    while (input_next(&input, &piece)) {
        char *copy = malloc(piece.len + 1);

        require(copy != NULL);
        memcpy(copy, piece.data, piece.len);
        if (piece.len > 0 && piece.data[0] == 'X')
            require(on_header(copy, 1, piece.len, http) == piece.len);
        else
            require(on_body(copy, 1, piece.len, http) == piece.len);
        free(copy);
    }
    outcome = classify_answer(&request, &answer, status);
    require(memchr(answer.message, 0, sizeof answer.message) != NULL);
    if (outcome == HTTP_DONE)
        require(status == 200 && answer.code == 0 && (!expect_empty || buf_len(&answer.body) == 0));
    else
        require(answer.message[0] != '\0');
    buf_free(&answer.body);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct http http;
    struct cursor input = cursor_over(data, size);
    uint8_t flags;
    uint16_t status;

    if (!cursor_u8(&input, &flags) || !cursor_u16(&input, &status))
        return 0;
    try_answer(&http, input, (flags & 1) != 0 ? 200 : status, (flags & 2) != 0);
    return 0;
}
