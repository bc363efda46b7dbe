/* page.c: see page.h. */
#include "ackd/page.h"

#include <stdio.h>
#include <sys/random.h>

/* The number's place in the file, which has as many characters. */
#define NONCE      "00000000000000000000000000000000"
#define NONCE_SIZE sizeof NONCE

/* The assembler reads the file from the directory where make runs. */
__asm__(".pushsection .rodata\n"
        ".global page_html, page_html_size\n"
        "page_html:\n"
        ".incbin \"src/ackd/page.html\"\n"
        "page_html_end:\n"
        ".balign 8\n"
        "page_html_size:\n"
        ".quad page_html_end - page_html\n"
        ".popsection\n");
extern const char page_html[];
extern const uint64_t page_html_size;

static int
make_nonce(char nonce[NONCE_SIZE])
{
    unsigned char bytes[(NONCE_SIZE - 1) / 2];

    if (getrandom(bytes, sizeof bytes, GRND_NONBLOCK) != (ssize_t)sizeof bytes)
        return -1;
    for (size_t i = 0; i < sizeof bytes; i++)
        snprintf(nonce + 2 * i, 3, "%02x", bytes[i]);
    return 0;
}

int
page_render(struct buf *page, char policy[PAGE_POLICY_SIZE])
{
    size_t start = buf_len(page);
    char nonce[NONCE_SIZE];
    uint8_t *at, *end;

    if (make_nonce(nonce) != 0)
        return -1;
    buf_append(page, page_html, page_html_size);
    if (page->failed)
        return -1;
    end = page->data + page->end;
    at = page->data + page->start + start;
    while ((at = memmem(at, (size_t)(end - at), NONCE, NONCE_SIZE - 1)) != NULL)
        memcpy(at, nonce, NONCE_SIZE - 1);
    snprintf(policy, PAGE_POLICY_SIZE,
             "default-src 'none'; script-src 'nonce-%s'; style-src 'nonce-%s'; connect-src 'self'; "
             "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
             nonce, nonce);
    return 0;
}
