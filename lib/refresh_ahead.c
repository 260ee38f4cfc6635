/* SPDX-License-Identifier: Apache-2.0 */
/* refresh_ahead.c: the dice of refreshing ahead; pure arithmetic. */
#include "lib/refresh_ahead.h"

int etg_refresh_ahead_is_due(const etg_refresh_ahead *state, unsigned random)
{
    double whole, begin, half, part;

    if (state->hits < ETG_REFRESH_AHEAD_HITS || state->fraction <= 0
        || state->ttl <= 0 || state->stay < 0) {
        return 0;
    }
    whole = (double)state->stay + (double)state->ttl;
    begin = whole * state->fraction;
    half = (whole - begin) / 2;
    if (state->stay < begin) {
        return 0;
    }
    if (state->stay >= begin + half) {
        return 1;
    }
    part = (state->stay - begin) / half;
    return random < part * part * part * (ETG_REFRESH_AHEAD_RANDOM_MOST + 1);
}
