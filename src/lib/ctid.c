/* ctid.c: see ctid.h. */
#include "lib/ctid.h"

#include <inttypes.h>
#include <stdio.h>

/* Takes a number of at least one digit at *at, up to most. */
static bool
take_number(const uint8_t **at, const uint8_t *end, uint64_t most, uint64_t *number)
{
    const uint8_t *start = *at;

    for (*number = 0; *at < end && **at >= '0' && **at <= '9'; (*at)++)
        if ((*number = *number * 10 + (uint64_t)(**at - '0')) > most)
            return false;
    return *at > start;
}

static bool
take_letter(const uint8_t **at, const uint8_t *end, char letter)
{
    return *at < end && *(*at)++ == (uint8_t)letter;
}

bool
ctid_parse(const uint8_t **at, const uint8_t *end, struct ctid *ctid)
{
    uint64_t block, line;

    if (!take_letter(at, end, '(') || !take_number(at, end, UINT32_MAX, &block) ||
        !take_letter(at, end, ',') || !take_number(at, end, UINT16_MAX, &line) ||
        !take_letter(at, end, ')'))
        return false;
    *ctid = (struct ctid){.block = (uint32_t)block, .line = (uint16_t)line};
    return true;
}

struct ctid_text
ctid_format(struct ctid ctid)
{
    struct ctid_text out;

    snprintf(out.text, sizeof out.text, "(%" PRIu32 ",%u)", ctid.block, ctid.line);
    return out;
}
