/* lib_pqx.c: the parts that can be tested without a server.
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

/* An answer of this many rows whose columns are named by letters. '?' is NULL in every row. */
static PGresult *
answer(int rows, const char *columns)
{
    static char name[] = "c", value[] = "1";
    PGresult *result = PQmakeEmptyPGresult(NULL, PGRES_TUPLES_OK);
    PGresAttDesc attributes[8] = {0};
    int count = (int)strlen(columns);

    for (int i = 0; i < count; i++)
        attributes[i].name = name;
    if (count > 0)
        check(PQsetResultAttrs(result, count, attributes) == 1, "%d columns", count);
    for (int row = 0; row < rows; row++)
        for (int i = 0; i < count; i++)
            if (PQsetvalue(result, row, i, columns[i] == '?' ? NULL : value,
                           columns[i] == '?' ? -1 : 1) != 1)
                abort();
    return result;
}

static void
test_shape(void)
{
    static const struct {
        int rows, least, most;
        const char *has, *must, *message;
    } cases[] = {
        {1, 1, 1, "vv", "vv", NULL},
        {1, 1, 1, "v?", "v?", NULL},
        {1, 1, 1, "vv", "v?", NULL},
        {0, 0, 1, "v", "v", NULL},
        {0, 0, PQX_ROWS, "v", "v", NULL},
        {3, 0, PQX_ROWS, "v?", "v?", NULL},
        {0, 1, 1, "vv", "vv", "could not look: the server's answer has 0 rows instead of 1"},
        {2, 0, 1, "v", "v", "could not look: the server's answer has 2 rows instead of 1"},
        {1, 1, 1, "v", "vv", "could not look: the server's answer has 1 columns instead of 2"},
        {1, 1, 1, "vvv", "vv", "could not look: the server's answer has 3 columns instead of 2"},
        {0, 1, 1, "", "v", "could not look: the server's answer has 0 columns instead of 1"},
        {2, 0, 9, "v?", "vv", "could not look: the server's answer has NULL in column 2 of row 1"},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct err err = {0};
        PGresult *result = answer(cases[i].rows, cases[i].has);
        int rc = pqx_shape(result, "look", cases[i].least, cases[i].most, cases[i].must, &err);

        if (cases[i].message == NULL)
            check(rc == 0, "%d rows of \"%s\" fit \"%s\"", cases[i].rows, cases[i].has,
                  cases[i].must);
        else
            check(rc == -1 && err.code == EXIT_PEER && strcmp(err.message, cases[i].message) == 0,
                  "refused: %s", err.message);
        PQclear(result);
    }
    check(pqx_shaped(NULL, "look", 1, 1, "v", NULL) == NULL, "an error is handed on");
}

int
main(void)
{
    test_exit_codes();
    test_password();
    test_shape();
    return check_done();
}
