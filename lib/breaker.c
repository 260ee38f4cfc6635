/* SPDX-License-Identifier: Apache-2.0 */
/*
 * breaker.c: the circuit breaker's rules.
 *
 * The last failures are kept oldest first, each with how many calls had been
 * answered by then; when there are as many as it takes, and none is too old or
 * too many answers ago, the breaker opens and forgets them. Called under its
 * owner's lock, on request threads and by the probe.
 */
#include "lib/breaker.h"

static void open_until_probe(etg_breaker *breaker, apr_time_t now,
                             apr_interval_time_t jitter);
static void forget_old_failures(etg_breaker *breaker, apr_uint64_t answered,
                                apr_time_t now);

int etg_breaker_may_call(const etg_breaker *breaker)
{
    return breaker->state == ETG_BREAKER_CLOSED;
}

etg_breaker_change etg_breaker_fail(etg_breaker *breaker,
                                    apr_uint64_t answered, apr_time_t now,
                                    apr_interval_time_t jitter)
{
    if (breaker->state != ETG_BREAKER_CLOSED) {
        return ETG_BREAKER_SAME;
    }
    forget_old_failures(breaker, answered, now);
    breaker->failed_at[breaker->failures] = now;
    breaker->answered[breaker->failures++] = answered;
    if (breaker->failures < ETG_BREAKER_FAILURES) {
        return ETG_BREAKER_SAME;
    }
    open_until_probe(breaker, now, jitter);
    return ETG_BREAKER_OPENED;
}

int etg_breaker_is_probe_due(const etg_breaker *breaker, apr_time_t now)
{
    /* Farther away than a probe is ever set: the clock was set back. */
    return breaker->state == ETG_BREAKER_OPEN
           && (now >= breaker->probe_at
               || breaker->probe_at - now
                      > ETG_BREAKER_PROBE_EVERY + ETG_BREAKER_JITTER_MAX);
}

apr_time_t etg_breaker_probe_at(const etg_breaker *breaker)
{
    return breaker->state == ETG_BREAKER_OPEN ? breaker->probe_at : 0;
}

int etg_breaker_probe_begin(etg_breaker *breaker, apr_time_t now)
{
    if (!etg_breaker_is_probe_due(breaker, now)) {
        return 0;
    }
    breaker->state = ETG_BREAKER_HALF_OPEN;
    return 1;
}

etg_breaker_change etg_breaker_probe_end(etg_breaker *breaker, int succeeded,
                                         apr_time_t now,
                                         apr_interval_time_t jitter)
{
    if (breaker->state != ETG_BREAKER_HALF_OPEN) {
        return ETG_BREAKER_SAME;
    }
    if (!succeeded) {
        open_until_probe(breaker, now, jitter);
        return ETG_BREAKER_SAME;
    }
    breaker->state = ETG_BREAKER_CLOSED;
    return ETG_BREAKER_HEALED;
}

static void open_until_probe(etg_breaker *breaker, apr_time_t now,
                             apr_interval_time_t jitter)
{
    jitter = jitter < 0 ? 0 : jitter;
    jitter = jitter > ETG_BREAKER_JITTER_MAX ? ETG_BREAKER_JITTER_MAX
                                             : jitter;
    breaker->state = ETG_BREAKER_OPEN;
    breaker->failures = 0;
    breaker->probe_at = now + ETG_BREAKER_PROBE_EVERY + jitter;
}

/* Afterwards there is room for one more. A failure in the future is one from
 * before the clock was set back: nobody knows how old it is. */
static void forget_old_failures(etg_breaker *breaker, apr_uint64_t answered,
                                apr_time_t now)
{
    unsigned kept = 0;
    unsigned i;

    for (i = 0; i < breaker->failures; i++) {
        apr_time_t at = breaker->failed_at[i];
        apr_uint64_t since = answered - breaker->answered[i];

        if (at <= now && now - at <= ETG_BREAKER_WINDOW
            && since < ETG_BREAKER_ANSWERS) {
            breaker->answered[kept] = breaker->answered[i];
            breaker->failed_at[kept++] = at;
        }
    }
    breaker->failures = kept;
}
