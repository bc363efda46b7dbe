/* lib_json.c: commas, nesting, and with lib/jsontext any bytes as text.
 * links: lib/json lib/clock lib/lsn lib/err */
#include "lib/json.h"

#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "lib/jsontext.h"

static void
test_nesting(void)
{
    char *text = NULL;
    size_t len;
    struct json j = {.out = open_memstream(&text, &len)};

    json_open(&j, '{');
    json_cstr(&j, "a", "x");
    json_open_member(&j, "list", '[');
    json_open_member(&j, NULL, '{');
    json_int(&j, "n", -1);
    json_close(&j, '}');
    json_open_member(&j, NULL, '{');
    json_close(&j, '}');
    json_close(&j, ']');
    json_uint_text(&j, "id", UINT64_MAX);
    json_tenths(&j, "rate", 1.25);
    json_null(&j, "none");
    json_close(&j, '}');
    fclose(j.out);
    check(strcmp(text, "{\"a\":\"x\",\"list\":[{\"n\":-1},{}],\"id\":\"18446744073709551615\","
                       "\"rate\":1.2,\"none\":null}") == 0,
          "commas where they belong: %s", text);
    free(text);
}

/* The escaped form of the bytes. */
static const char *
escaped(const char *bytes, size_t n)
{
    static char out[256];
    struct bytes rest = {.data = (const uint8_t *)bytes, .len = n};
    size_t at = 0;

    while (rest.len > 0)
        at += jsontext_take(&rest, out + at);
    out[at] = '\0';
    return out;
}

static void
test_text(void)
{
    check(strcmp(escaped("a\"b\\c", 5), "a\\\"b\\\\c") == 0, "quote and backslash");
    check(strcmp(escaped("\n\t\x7f\0", 4), "\\u000a\\u0009\\u007f\\u0000") == 0, "control bytes");
    check(strcmp(escaped("\xc3\xa9\xe2\x82\xac", 5), "\xc3\xa9\xe2\x82\xac") == 0,
          "UTF-8 as it is");
    check(strcmp(escaped("\xe9t\xc3", 3), "\\ufffdt\\ufffd") == 0,
          "what is not UTF-8, cut or wrong");
}

int
main(void)
{
    test_nesting();
    test_text();
    return check_done();
}
