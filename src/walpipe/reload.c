/* reload.c: see reload.h. */
#include "walpipe/reload.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lib/clock.h"
#include "lib/statefile.h"
#include "walpipe/configdiff.h"
#include "walpipe/passwords.h"
#include "walpipe/pauses.h"
#include "walpipe/plan.h"
#include "walpipe/reloadnote.h"

int
reload_write_limits(const struct config *config, struct err *err)
{
    struct pool pool = {0};
    int rc =
        statefile_write(plan_limits_path(config, &pool),
                        pool_print(&pool, "%u %u\n", config->copy_workers, config->copy_rate), err);

    pool_free(&pool);
    return rc;
}

/* The new values stay for the next start if pg-table-read cannot get them now. */
static void
take_limits(struct config *config, const struct config *fresh, const struct log *log,
            pid_t table_reader)
{
    struct err err = {0};

    if (config->copy_workers == fresh->copy_workers && config->copy_rate == fresh->copy_rate)
        return;
    config->copy_workers = fresh->copy_workers;
    config->copy_rate = fresh->copy_rate;
    if (reload_write_limits(config, &err) != 0)
        log_failure(log, &err);
    else if (table_reader > 0)
        kill(table_reader, SIGHUP);
}

static void
refuse(const struct reload *r, const struct err *why, const struct log *log)
{
    log_failure(log, why);
    log_write(log, LOG_ERROR, "%s is not applied, and nothing has changed", r->config->path);
    reloadnote_write(r->config, RELOAD_REFUSED, why, log);
}

/* Everything that can be found out about it without a server. */
static int
read_fresh(const struct reload *r, struct config *fresh, struct pool *pool, struct err *err)
{
    const char *identity;

    if (config_read(r->config->path, r->config->overrides, fresh, err) != 0 ||
        passwords_choose(fresh, err) != 0 || passwords_read(fresh, err) != 0)
        return -1;
    if ((r->config->only || fresh->only) &&
        configdiff_list(r->config, fresh, CONFIGDIFF_RENEW, pool)[0] != '\0') {
        err_set(err, EXIT_REFUSED,
                "with copy = only, only copy_workers and copy_rate can change while it runs");
        return err_hint(err,
                        "set the other keys back, or stop walpipe and start it with the new file");
    }
    identity = configdiff_list(r->config, fresh, CONFIGDIFF_IDENTITY, pool);
    if (identity[0] == '\0')
        return pauses_apply(fresh, err);
    err_set(err, EXIT_REFUSED, "%s describes another pipeline than the running one: %s has changed",
            r->config->path, identity);
    return err_hint(err, "set it back, or stop walpipe and start it with the new file");
}

static bool
is_on_trial(const struct reload *r)
{
    return r->trying && clock_micros() - r->taken_at < UINT64_C(1000) * RELOAD_TRIAL_MILLIS;
}

/* The programs go on. After an earlier change they may still refuse it. */
static void
say_applied(const struct reload *r, const struct log *log)
{
    reloadnote_write(r->config, is_on_trial(r) ? RELOAD_STARTED : RELOAD_APPLIED, NULL, log);
}

static bool
apply(struct reload *r, struct config *fresh, const char *changes, const struct log *log,
      pid_t table_reader)
{
    take_limits(r->config, fresh, log, table_reader);
    log_write(log, LOG_INFO, "read %s again: copy_workers = %u, copy_rate = %u%s%s",
              r->config->path, r->config->copy_workers, r->config->copy_rate,
              changes[0] == '\0' ? ""
                                 : "; the programs are started again, since these have changed: ",
              changes);
    if (changes[0] == '\0' && !r->waiting) {
        config_free(fresh);
        say_applied(r, log);
        return false;
    }
    config_free(&r->next);
    r->next = *fresh;
    r->waiting = true;
    return true;
}

/* walpipe pause may have been killed before it could tell. */
static const char *
list_changes(const struct reload *r, const struct config *fresh, struct pool *pool)
{
    const char *changes = configdiff_list(r->config, fresh, CONFIGDIFF_RENEW, pool);
    struct err ignored = {0};
    bool differ;

    if (pauses_differ(r->config, &differ, &ignored) != 0 || !differ)
        return changes;
    return pool_print(pool, "%s%spauses", changes, changes[0] == '\0' ? "" : ", ");
}

bool
reload_read(struct reload *r, const struct log *log, pid_t table_reader)
{
    struct pool pool = {0};
    struct config fresh;
    struct err err = {0};
    bool renew = false;

    if (read_fresh(r, &fresh, &pool, &err) != 0) {
        refuse(r, &err, log);
        config_free(&fresh);
    } else {
        renew = apply(r, &fresh, list_changes(r, &fresh, &pool), log, table_reader);
    }
    pool_free(&pool);
    return renew;
}

bool
reload_pauses(struct reload *r, const struct log *log)
{
    struct err err = {0};
    bool differ;

    if (pauses_differ(r->config, &differ, &err) != 0) {
        log_failure(log, &err);
        reloadnote_write(r->config, RELOAD_REFUSED, &err, log);
        return false;
    }
    if (!differ)
        return false;
    log_write(log, LOG_INFO, "the programs are started again, since other sinks are paused now");
    r->again = true;
    return true;
}

/* ---- between two lives of the programs ---- */

static bool
same(const char *a, const char *b)
{
    return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

static bool
same_login(const struct sink_config *a, const struct sink_config *b)
{
    return a->type == b->type && same(a->conninfo, b->conninfo) && same(a->url, b->url) &&
           same(a->user, b->user) && same(a->password, b->password) &&
           same(a->password_file, b->password_file);
}

/* A refused login of another user is no rotated password that somebody is about to mend. */
static void
forget_logins(const struct config *old, const struct config *now)
{
    struct pool pool = {0};

    if (!same(old->source.conninfo, now->source.conninfo) ||
        !same(old->source.password, now->source.password))
        (void)unlink(plan_login_path(now, &pool, NULL));
    for (size_t i = 0; i < now->sinks_count; i++) {
        bool known = false;

        for (size_t k = 0; k < old->sinks_count; k++)
            known = known || (strcmp(now->sinks[i].name, old->sinks[k].name) == 0 &&
                              same_login(&now->sinks[i], &old->sinks[k]));
        if (!known)
            (void)unlink(plan_login_path(now, &pool, &now->sinks[i]));
    }
    pool_free(&pool);
}

/* The oldest first: each is in the pool of the next one. */
static void
free_before(struct reload_before *before)
{
    if (before == NULL)
        return;
    free_before(before->next);
    config_free(&before->config);
}

bool
reload_take(struct reload *r, const struct log *log)
{
    struct reload_before *before;

    if (!r->waiting)
        return false;
    forget_logins(r->config, &r->next);
    /* A config that is on trial may be refused still, after the new one was. */
    if (!is_on_trial(r)) {
        free_before(r->before);
        r->before = NULL;
    }
    before = pool_take(&r->next.pool, sizeof *before);
    *before = (struct reload_before){.next = r->before, .config = *r->config};
    r->before = before;
    *r->config = r->next;
    r->next = (struct config){0};
    r->waiting = false;
    r->trying = true;
    r->taken_at = clock_micros();
    reloadnote_write(r->config, RELOAD_STARTED, NULL, log);
    return true;
}

/* Some workers may have written, and ackd confirmed, while another one refused. */
static bool
cannot_be_undone(const struct reload *r, const struct log *log)
{
    struct pool pool = {0};
    const char *changes = configdiff_list(&r->before->config, r->config, CONFIGDIFF_ROWS, &pool);
    bool any = changes[0] != '\0';

    if (any)
        log_write(log, LOG_ERROR,
                  "the earlier content of %s is not used again, since changes may have been "
                  "confirmed with the new one, and these keys decide which rows a target gets: %s",
                  r->config->path, changes);
    pool_free(&pool);
    return any;
}

bool
reload_undo(struct reload *r, const struct err *why, bool started, const struct log *log)
{
    struct err refusal = *why;
    struct reload_before before;

    if (!is_on_trial(r) || (started && why->code != EXIT_REFUSED) ||
        (started && cannot_be_undone(r, log)))
        return false;
    before = *r->before;
    forget_logins(r->config, &before.config);
    config_free(r->config);
    *r->config = before.config;
    r->before = before.next;
    r->trying = r->before != NULL;
    r->taken_at = clock_micros();
    err_set(&refusal, EXIT_REFUSED, "the pipeline cannot run with the new %s: %.800s",
            r->config->path, why->message);
    log_write(
        log, LOG_ERROR,
        "%s; walpipe runs with its earlier content again, so correct it before you restart walpipe",
        refusal.message);
    reloadnote_write(r->config, RELOAD_REFUSED, &refusal, log);
    return true;
}

void
reload_free(struct reload *r)
{
    config_free(&r->next);
    free_before(r->before);
}
