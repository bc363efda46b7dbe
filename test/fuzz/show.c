/* show.c: evcat over frames of either stream. The first byte chooses the stream, and whether the
 * event stream may bring rows that exist already. */
/* clang-format off: make reads one line
 * links: evcat/show evcat/put evcat/copied lib/json lib/event lib/copyevent lib/ctid lib/sinklist lib/snapshot lib/tableinfo lib/wal lib/relmap lib/lsn lib/clock lib/frame lib/pack lib/cursor lib/buf lib/err */
/* clang-format on */
#include "evcat/show.h"
#include "input.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static FILE *nowhere;
    struct cursor input = cursor_over(data, size);
    struct show *show = calloc(1, sizeof *show);
    struct bytes message;
    uint8_t which;
    int result = 0;

    if (nowhere == NULL)
        nowhere = fopen("/dev/null", "w");
    require(show != NULL && nowhere != NULL);
    if (cursor_u8(&input, &which)) {
        show->out = nowhere;
        show->greeted = true;
        show->wal = (which & 1) != 0;
        show->copies = (which & 2) != 0;
        while (result == 0 && input_next(&input, &message)) {
            struct err err = {0};
            uint8_t *memory;
            struct frame frame = input_frame(message, &memory);

            result = show_frame(show, &frame, &err);
            require(result == 0 || err.message[0] != '\0');
            free(memory);
        }
    }
    show_free(show);
    free(show);
    return 0;
}
