/* chform.h: SQL of PostgreSQL for the canonical texts of columns of ClickHouse (docs/design.md).
 * Pure. */
#ifndef WALPIPE_COMPARE_CHFORM_H
#define WALPIPE_COMPARE_CHFORM_H

#include "lib/canon.h"
#include "walpipe/compare/form.h"

/* The source's side. sink-ch knows the other one. */
void chform_make(struct form *form, const struct column *source, const struct canon_column *canon,
                 const struct form_servers *servers, struct pool *pool);

#endif
