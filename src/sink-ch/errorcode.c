/* errorcode.c: see errorcode.h. The codes are from src/Common/ErrorCodes.cpp of ClickHouse. A code
 * that is in no list is tried again. That loses nothing, and the target counts as down until a
 * person looks. So a code may be in a list only under two conditions. It cannot come from a server
 * that is starting, busy, full or cut off. It cannot be caused by another worker that creates or
 * alters the same table at that moment. */
#include "sink-ch/errorcode.h"

#include <string.h>

/* Statements, functions, columns and types that the server does not know or allow. */
static const uint16_t statements[] = {
    1,   2,   8,   15,  16,  34,  35,  36,  37,  42,  43,  44,  45,  46,  47,  48,  50,  51,
    52,  53,  54,  55,  56,  57,  59,  60,  62,  63,  66,  73,  78,  80,  81,  82,  85,  89,
    119, 122, 140, 141, 145, 157, 181, 182, 205, 206, 207, 248, 258, 277, 336, 344, 350, 351,
    352, 357, 359, 370, 377, 378, 386, 392, 397, 398, 401, 405, 408, 420, 431, 432, 433, 446,
    450, 455, 456, 457, 478, 479, 481, 492, 524, 527, 548, 549, 704, 719};

/* Missing logins, rights, settings, profiles and quotas, which stop everything. 201 is not among
 * them. It is a quota that is used up, which ends with its interval. */
static const uint16_t rights[] = {115, 164, 180, 192, 193, 194, 195, 199, 200, 291, 452,
                                  471, 472, 482, 495, 497, 508, 511, 512, 516, 523};

/* Limits of the user's profile on the size of a query or its answer. */
static const uint16_t limits[] = {158, 161, 162, 163, 165, 166, 167, 168, 191, 229, 307, 396};

/* A replicated table with a wrong declaration, or one that differs from its other replicas'. */
static const uint16_t replicas[] = {222, 237, 342};

/* The bytes do not parse, or do not fit, or an expression of the table or of a view refuses them.
 */
static const uint16_t data[] = {6,   7,   19,  20,  26,  27,  32,  33,  38,  41,  69,  70, 72,
                                117, 131, 153, 321, 349, 376, 395, 407, 441, 467, 469, 691};

#define IN(list, code) is_among(code, list, sizeof(list) / sizeof *(list))

static bool
is_among(uint64_t code, const uint16_t *list, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (list[i] == code)
            return true;
    return false;
}

bool
errorcode_is_of_table(uint64_t code)
{
    return IN(statements, code) || IN(data, code);
}

enum errorcode_class
errorcode_classify(uint64_t code, const char *message)
{
    const uint64_t too_many_parts = 252, no_zookeeper = 225;

    if (code == too_many_parts && strstr(message, "partitions for single INSERT") != NULL)
        return ERRORCODE_PARTITIONS; /* never heals by waiting, unlike too many parts (trap 110) */
    if (code == no_zookeeper && strstr(message, "without ZooKeeper") != NULL)
        return ERRORCODE_PERSON; /* none is configured; a lost one has another message or 999 */
    if (IN(statements, code) || IN(rights, code) || IN(limits, code) || IN(replicas, code) ||
        strstr(message, "File name too long") != NULL)
        return ERRORCODE_PERSON;
    return IN(data, code) ? ERRORCODE_DATA : ERRORCODE_WAIT;
}
