/* checkpoint.c: ackd's checkpoint file, unchanged, and with a matching check line, so that the code
 * behind the check is reached too. A file that was read is written and read the same.
 * links: ackd/checkpoint lib/hash lib/lsn lib/cursor lib/err */
#include "ackd/checkpoint.h"

#include <inttypes.h>
#include <stdio.h>

#include "input.h"
#include "lib/hash.h"

static void
try_text(struct bytes text)
{
    static struct checkpoint checkpoint, again;
    static char encoded[CHECKPOINT_SIZE_MAX];
    const char *why;
    size_t len;

    memset(&checkpoint, 0, sizeof checkpoint);
    memset(&again, 0, sizeof again);
    why = checkpoint_decode(text, &checkpoint);
    if (why != NULL) {
        require(why[0] != '\0');
        return;
    }
    require(checkpoint.safe_lsn != 0);
    (void)checkpoint_shards(checkpoint.sinks, "dst");
    len = checkpoint_encode(encoded, &checkpoint);
    require(len <= sizeof encoded);
    require(checkpoint_decode((struct bytes){(const uint8_t *)encoded, len}, &again) == NULL);
    require(strcmp(again.pipeline, checkpoint.pipeline) == 0 &&
            strcmp(again.database, checkpoint.database) == 0 &&
            strcmp(again.slot, checkpoint.slot) == 0 &&
            strcmp(again.sinks, checkpoint.sinks) == 0 && again.safe_lsn == checkpoint.safe_lsn &&
            again.timeline == checkpoint.timeline &&
            again.system_identifier == checkpoint.system_identifier);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 32);
    int len;

    require(text != NULL);
    if (size > 0)
        memcpy(text, data, size);
    try_text((struct bytes){data, size});
    len = snprintf(text + size, 32, "check=%016" PRIx64 "\n", hash_bytes(HASH_SEED, data, size));
    text = realloc(text, size + (size_t)len);
    require(text != NULL);
    try_text((struct bytes){(const uint8_t *)text, size + (size_t)len});
    free(text);
    return 0;
}
