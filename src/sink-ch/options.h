/* options.h: what the command line said, and where a source table goes. */
#ifndef WALPIPE_SINKCH_OPTIONS_H
#define WALPIPE_SINKCH_OPTIONS_H

#include "lib/log.h"
#include "sink-ch/convert/convert.h"

#define TARGET_NAME_MAX 255 /* of a database or table: it is a file name too */

/* Where one source table goes. */
struct target_name {
    char database[TARGET_NAME_MAX + 1];
    char table[TARGET_NAME_MAX + 1];
};

struct mapping {
    char source[132]; /* "schema.table" */
    struct target_name target;
};

struct options {
    const char *in;
    const char *url;
    const char *database;
    const char *user;
    const char *password_file;
    const char *ca_file;
    const char *cert_file;
    const char *key_file;
    const char *pipeline;
    const char *ackd;
    const char *version_column;
    const char *deleted_column;
    enum convert_policy on_overflow;
    bool create_tables;
    bool check;
    uint64_t batch_rows;
    uint64_t flush_millis;
    enum log_level log_level;
    struct mapping *mappings;
    size_t mappings_count;
};

/* Adds "a.b -> c.d, e.f -> g": the target's database is --database where none is given. */
int options_add_mappings(struct options *options, const char *text, struct err *err) MUST_CHECK;

/* s.t by the mappings; else public.t goes to t, s.t to s_t, in --database. -1: the name is too
 * long. */
int options_target(const struct options *options, const char *schema, const char *table,
                   struct target_name *target) MUST_CHECK;

/* The password from the file of --password-file, or of WALPIPE_CH_PASSWORD; "" where neither is
 * set. */
int options_password(const struct options *options, char *password, size_t size,
                     struct err *err) MUST_CHECK;

/* Whether the TLS files make sense with --url and can be read; nobody else may read the key. */
int options_check_tls(const struct options *options, struct err *err) MUST_CHECK;

void options_free(struct options *options);

#endif
