/* options.c: see options.h. */
#include "pg-wal-read/options.h"

#include <string.h>

#define TO(field) .offset = offsetof(struct options, field)

static const char *const origins[] = {"any", "none", NULL};

static const struct opt_spec specs[] = {
    {"conninfo", "CONNINFO", "the source, in libpq's form; no password here", OPT_CALL,
     TO(source.conninfo), .required = true, .take = sourceopt_conninfo},
    {"slot", "NAME", "the replication slot", OPT_TEXT, TO(source.slot), .required = true},
    {"publication", "NAME[,NAME]", "the publications", OPT_CALL, TO(source.publications),
     .take = sourceopt_publications},
    {"ackd", "PATH", "ackd's socket", OPT_TEXT, TO(ackd)},
    {"no-ack", NULL, "read without confirming anything", OPT_FLAG, TO(no_ack)},
    {"login-note", "FILE", "made after a login; a later refusal is then retried", OPT_TEXT,
     TO(source.login_note)},
    {"create-slot", NULL, "create the slot if ackd has no checkpoint for it", OPT_FLAG,
     TO(source.create_slot)},
    {"slot-seen", NULL, "the slot existed: if it is gone now, exit with 111", OPT_FLAG,
     TO(slot_seen)},
    {"slot-note", "FILE", "records that the slot is being made, to detect a crash then", OPT_TEXT,
     TO(source.slot_note)},
    {"binary", NULL, "ask for binary values (server 14 and later)", OPT_FLAG, TO(source.binary)},
    {"messages", NULL, "ask for logical messages (server 14 and later)", OPT_FLAG,
     TO(source.messages)},
    {"origin", "any|none", "none: only changes made on the source itself (16 and later)", OPT_WORD,
     TO(source.origin), .words = origins},
    {"table-info", NULL, "ask the source's catalog about each table that it announces", OPT_FLAG,
     TO(source.table_info)},
    {"out", "PATH", "send the wal stream to this Unix socket, not stdout", OPT_TEXT, TO(out)},
    {"check", NULL, "test everything that can be tested without reading WAL", OPT_FLAG, TO(check)},
    {"until-free", NULL, "only wait until the source answers and nobody uses the slot", OPT_FLAG,
     TO(until_free)},
    {"drop-slot", NULL, "drop the slot", OPT_FLAG, TO(drop_slot)},
    {"log-level", "LEVEL", "debug, info, warning or error (default: info)", OPT_LEVEL,
     TO(log_level)},
    {"log-format", "FORMAT", "text, json or auto: text on a terminal (default: auto)", OPT_WORD,
     TO(log_format), .words = log_format_names},
};

static const struct opt_program program = {
    .name = "pg-wal-read",
    .usage = "--conninfo CONNINFO --slot NAME --publication NAME (--ackd PATH | --no-ack)",
    .purpose = "Reads a logical replication slot and writes walpipe's wal stream.",
    .specs = specs,
    .specs_count = sizeof specs / sizeof *specs,
};

static bool
is_slot_name(const char *name)
{
    size_t len = strlen(name);

    return len > 0 && len <= NAME_MAX_BYTES &&
           name[strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_")] == '\0';
}

static int
check_options(const struct options *o, struct err *err)
{
    if (!is_slot_name(o->source.slot))
        err_set(err, EXIT_REFUSED,
                "\"%s\" is no slot name: PostgreSQL allows a-z, 0-9 and _, 1 to 63 of them",
                o->source.slot);
    else if (o->drop_slot)
        return 0;
    else if (o->source.publications.count == 0)
        err_set(err, EXIT_REFUSED, "option --publication is missing");
    else if (!o->check && (o->ackd == NULL) != o->no_ack)
        err_set(err, EXIT_REFUSED, "one of --ackd and --no-ack is needed");
    else
        return 0;
    return err_hint(err, "see pg-wal-read --help");
}

enum opt_status
options_parse(int argc, char **argv, struct options *options, struct err *err)
{
    enum opt_status status;

    *options = (struct options){.log_level = LOG_INFO};
    status = opt_parse(&program, argc, argv, options, err);
    return status == OPT_GO && check_options(options, err) != 0 ? OPT_BAD : status;
}
