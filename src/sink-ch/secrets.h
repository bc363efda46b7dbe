/* secrets.h: the password, and the files that TLS needs. Other users must not be able to read the
 * secret ones. */
#ifndef WALPIPE_SINKCH_SECRETS_H
#define WALPIPE_SINKCH_SECRETS_H

#include "sink-ch/options.h"

/* The password from the file of --password-file, or of WALPIPE_CH_PASSWORD. "" if neither is
 * set. */
int secrets_password(const struct options *options, char *password, size_t size,
                     struct err *err) MUST_CHECK;

/* Whether the TLS files make sense with --url and can be read. */
int secrets_check_tls(const struct options *options, struct err *err) MUST_CHECK;

#endif
