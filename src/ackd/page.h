/* page.h: the status page, one HTML file (page.html) inside the program. */
#ifndef WALPIPE_ACKD_PAGE_H
#define WALPIPE_ACKD_PAGE_H

#include "lib/buf.h"

#define PAGE_POLICY_SIZE 384

/* Appends the page. policy receives its Content-Security-Policy. It allows the page's own script
 * and style, by a number that is new each time, and requests to this server. Returns -1 if the
 * system has no random numbers or no memory. */
int page_render(struct buf *page, char policy[PAGE_POLICY_SIZE]) MUST_CHECK;

#endif
