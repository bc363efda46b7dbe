/* lib/pqx: what of libpq can be tested without a server.
 * links: lib/pqx lib/err
 * libs: -lpq */
#include "lib/pqx.h"

#include <stdlib.h>
#include <string.h>

#include "check.h"

static void
test_exit_codes(void)
{
    static const char *const retry[] = {"08006", "40001", "40P01", "53300", "57P01", "57P03",
                                        "55P03", "55006", "25006", "58030", "",      NULL};
    static const char *const refuse[] = {"42P01", "22003", "28P01", "3D000",
                                         "42501", "23505", "55000", "XX000"};

    for (size_t i = 0; i < sizeof retry / sizeof *retry; i++)
        check(pqx_exit_code(retry[i]) == EXIT_PEER, "%s heals by waiting",
              retry[i] == NULL ? "a broken connection" : retry[i]);
    for (size_t i = 0; i < sizeof refuse / sizeof *refuse; i++)
        check(pqx_exit_code(refuse[i]) == EXIT_REFUSED, "%s does not", refuse[i]);
}

static void
test_password(void)
{
    char *without, *password;
    struct err err = {0};
    PQconninfoOption *parsed;

    check(pqx_take_password("host=h password='a b\\'c' user='it\\'s \\\\' dbname=''", &without,
                            &password, &err) == 0 &&
              strcmp(password, "a b'c") == 0 && strstr(without, "password") == NULL,
          "the password is taken out");
    parsed = PQconninfoParse(without, NULL);
    check(parsed != NULL, "what is left can be parsed");
    for (PQconninfoOption *o = parsed; o != NULL && o->keyword != NULL; o++)
        if (strcmp(o->keyword, "user") == 0)
            check(o->val != NULL && strcmp(o->val, "it's \\") == 0, "and says the same");
    PQconninfoFree(parsed);
    free(without);
    free(password);
    check(pqx_take_password("postgresql://u:pw@h/db", &without, &password, &err) == 0 &&
              strcmp(password, "pw") == 0 && strstr(without, "pw") == NULL,
          "and out of a URI");
    free(without);
    free(password);
    check(pqx_refuse_password("host=h", &err) == 0, "no password is fine");
    check(pqx_refuse_password("host=h password=x", &err) == -1 && err.code == EXIT_REFUSED &&
              err.hint[0] != '\0' && strstr(err.message, "x\"") == NULL,
          "a password is not: %s", err.message);
}

static void
test_connect(void)
{
    struct err err = {0};

    check(pqx_connect("nosuch=1", NULL, 0, &err) == NULL && err.code == EXIT_REFUSED,
          "an unknown keyword: %s", err.message);
    check(pqx_connect("host=/nonexistent dbname=x", NULL, 0, &err) == NULL &&
              err.code == EXIT_PEER && strchr(err.message, '\n') == NULL,
          "no server: %s", err.message);
}

int
main(void)
{
    test_exit_codes();
    test_password();
    test_connect();
    return check_done();
}
