/* admission.c: see admission.h. */
#include "ackd/admission.h"

#include <inttypes.h>
#include <string.h>

#include "ackd/reached.h"
#include "lib/lsn.h"

static enum admission
start_over_hint(const char *dir_path, struct err *err)
{
    err_hint(err,
             "stop walpipe, run walpipe drop, which also removes %s/%s, empty the tables in the "
             "targets, set copy = yes, and start again",
             dir_path, CHECKPOINT_NAME);
    return ADMISSION_REFUSED;
}

static enum admission
wrong_place_hint(const char *dir_path, struct err *err)
{
    err_hint(err,
             "correct the [source] section, or give this pipeline a state_dir of its own; to start "
             "over, remove %s/%s",
             dir_path, CHECKPOINT_NAME);
    return ADMISSION_REFUSED;
}

/* Two standbys of one primary may both be promoted to the same timeline, if one does not know of
 * the other. Changes of one are not those of the other. */
static bool
is_other_branch(const struct checkpoint *c, const struct ack_source *s)
{
    return s->timeline == c->timeline && s->switch_lsn != 0 && c->switch_lsn != 0 &&
           s->switch_lsn != c->switch_lsn;
}

static enum admission
refuse_branch(const struct checkpoint *c, const char *dir_path, const struct ack_source *s,
              struct err *err)
{
    err_set(err, EXIT_REFUSED,
            "the source's timeline %" PRIu32 " began at %s, that of the checkpoint at %s: another "
            "server was promoted to a timeline of this number",
            s->timeline, lsn_format(s->switch_lsn).text, lsn_format(c->switch_lsn).text);
    return start_over_hint(dir_path, err);
}

/* Checks that this is the same source. Positions of two clusters cannot be compared. */
static enum admission
same_source(const struct checkpoint *c, const char *dir_path, const struct ack_source *s,
            struct err *err)
{
    if (s->system_identifier != c->system_identifier)
        err_set(err, EXIT_REFUSED,
                "the source is another cluster: its system identifier is %" PRIu64
                ", the checkpoint's %" PRIu64,
                s->system_identifier, c->system_identifier);
    else if (strcmp(s->database, c->database) != 0)
        err_set(err, EXIT_REFUSED, "the source is database \"%s\", the checkpoint's is \"%s\"",
                s->database, c->database);
    else if (strcmp(s->slot, c->slot) != 0)
        err_set(err, EXIT_REFUSED, "the slot is \"%s\", the checkpoint's is \"%s\"", s->slot,
                c->slot);
    else if (s->timeline < c->timeline)
        err_set(err, EXIT_REFUSED,
                "the source is on timeline %" PRIu32 ", the checkpoint on the later timeline "
                "%" PRIu32 ": this is the primary from before a promotion, or an older backup",
                s->timeline, c->timeline);
    else
        return ADMISSION_RUN;
    return wrong_place_hint(dir_path, err);
}

enum admission
admission_source(const struct checkpoint *c, const char *dir_path, const struct ack_source *s,
                 struct err *err)
{
    if (c == NULL)
        return s->confirmed_lsn == 0 ? ADMISSION_NO_SLOT : ADMISSION_RUN;
    if (same_source(c, dir_path, s, err) != ADMISSION_RUN)
        return ADMISSION_REFUSED;
    if (is_other_branch(c, s))
        return refuse_branch(c, dir_path, s, err);
    if (s->confirmed_lsn == 0) {
        err_set(err, EXIT_REFUSED,
                "replication slot \"%s\" is gone: changes after %s, the checkpoint, would be "
                "missing",
                s->slot, lsn_format(c->safe_lsn).text);
        return start_over_hint(dir_path, err);
    }
    return s->timeline > c->timeline ? ADMISSION_NEW_TIMELINE : ADMISSION_RUN;
}

bool
admission_needs_proof(const struct checkpoint *c, const struct ack_source *s)
{
    return c != NULL && s->confirmed_lsn > c->safe_lsn;
}

/* The worker's target keeps no progress, or is new to it, so nobody knows its contents. */
static int
cannot_tell(const struct checkpoint *c, const struct ack_source *s, const struct ack_register *w,
            struct err *err)
{
    err_set(err, EXIT_REFUSED,
            "replication slot \"%s\" is at %s, ahead of the checkpoint at %s, and sink %s/%" PRIu32
            " cannot tell whether its target has the changes between: %" PRIu64
            " bytes of WAL may be missing",
            s->slot, lsn_format(s->confirmed_lsn).text, lsn_format(c->safe_lsn).text, w->sink,
            w->shard, s->confirmed_lsn - c->safe_lsn);
    err->lsn = s->confirmed_lsn;
    return err_hint(
        err, "if you are certain that only another walpipe with the same sinks has moved the slot, "
             "start with its file checkpoint in the state directory, or remove that file; "
             "otherwise stop walpipe, run walpipe drop, empty the tables in the targets, set copy "
             "= yes, and start again (\"A second walpipe\" in walpipe(1))");
}

/* The target's progress is of an older timeline than the source. Checks that the source was
 * promoted after the LSN that the target has reached. */
static int
same_history(const struct ack_source *s, const struct ack_register *w, struct err *err)
{
    if (w->timeline == 0 || w->timeline == s->timeline ||
        (w->timeline == s->previous_timeline && w->durable_lsn <= s->switch_lsn))
        return 0;
    if (w->timeline == s->previous_timeline)
        err_set(err, EXIT_REFUSED,
                "the source left timeline %" PRIu32 " at %s, and sink %s/%" PRIu32
                " found in its target changes of that timeline up to %s, which the source never "
                "had",
                w->timeline, lsn_format(s->switch_lsn).text, w->sink, w->shard,
                lsn_format(w->durable_lsn).text);
    else
        err_set(err, EXIT_REFUSED,
                "the progress of sink %s/%" PRIu32 " is of timeline %" PRIu32
                ", the source is on timeline %" PRIu32
                ", which branched off from timeline %" PRIu32,
                w->sink, w->shard, w->timeline, s->timeline, s->previous_timeline);
    return err_hint(err,
                    "the source may have failed over to a standby that lacked these changes: stop "
                    "walpipe, run walpipe drop, empty the tables in the targets, set copy = yes, "
                    "and start again; or, if you are certain that the source has all rows of the "
                    "target, set timeline in the sink's progress rows to the source's");
}

bool
admission_is_behind(const struct ack_source *s, const struct ack_register *w)
{
    struct err ignored = {0};

    return w->durable_lsn != 0 && w->durable_lsn < s->confirmed_lsn &&
           same_history(s, w, &ignored) == 0;
}

int
admission_worker(const struct checkpoint *unproven, const struct ack_source *s,
                 const struct ack_register *w, struct err *err)
{
    if (same_history(s, w, err) != 0)
        return -1;
    if (w->durable_lsn == 0)
        return unproven == NULL ? 0 : cannot_tell(unproven, s, w, err);
    if (s->confirmed_lsn <= w->durable_lsn)
        return 0;
    err_set(err, EXIT_REFUSED,
            "the slot is ahead of what sink %s/%" PRIu32 " found in its target: confirmed %s, "
            "progress %s: changes in %" PRIu64 " bytes of WAL would be missing",
            w->sink, w->shard, lsn_format(s->confirmed_lsn).text, lsn_format(w->durable_lsn).text,
            s->confirmed_lsn - w->durable_lsn);
    return err_hint(err,
                    "the sink was left out of the config for a time, or somebody moved the slot or "
                    "made it again, or restored the target from a backup: stop walpipe, run "
                    "walpipe drop, empty the tables in the targets, set copy = yes, and start "
                    "again; or let this sink alone begin anew (Add and remove a sink in "
                    "docs/operations.md)");
}

int
admission_position(const struct ack_register *w, uint64_t kept, const char *dir_path,
                   struct err *err)
{
    if (kept == 0 || w->position != ACK_POSITION_NONE)
        return 0;
    err_set(err, EXIT_REFUSED,
            "sink %s/%" PRIu32 " found no position in its target, which had everything up to %s in "
            "an earlier run: changes may be missing",
            w->sink, w->shard, lsn_format(kept).text);
    return err_hint(err,
                    "correct conninfo or url if this is another target than before; if it was "
                    "moved or restored without walpipe's tables, bring them along, too, from the "
                    "same moment; otherwise let this sink alone begin anew with copy = yes (Add "
                    "and remove a sink in docs/operations.md); if you are certain that nothing is "
                    "missing, remove %s/%s",
                    dir_path, REACHED_NAME);
}

int
admission_wal_end(uint64_t current_lsn, uint64_t lsn, const char *who, struct err *err)
{
    if (current_lsn == 0 || lsn <= current_lsn)
        return 0;
    err_set(err, EXIT_REFUSED,
            "the source's WAL ends at %s, before %s, which %s already has: the source lost WAL",
            lsn_format(current_lsn).text, lsn_format(lsn).text, who);
    return err_hint(
        err, "the source failed over to a standby that was behind, or was restored from a backup, "
             "and walpipe would skip changes that were made there since: stop walpipe, run walpipe "
             "drop, empty the tables in the targets, set copy = yes, and start again");
}
