/* SPDX-License-Identifier: Apache-2.0 */
/*
 * etg_freshness.h: what mod_etag_freshness knows of a request's data, for
 * other modules: four optional functions (apr_optional.h), looked up in
 * post_config or later. Without that module they are not there.
 *
 * The order is everything. A digest that decides is read after the request
 * arrived and before the backend is asked, so that a response may be newer
 * than its digest, and never older.
 */
#ifndef ETG_FRESHNESS_H
#define ETG_FRESHNESS_H

#include <httpd.h>
#include <apr_optional.h>

#define ETG_FRESHNESS_DIGEST_BYTES 32

typedef enum etg_freshness_outcome {
    ETG_FRESHNESS_NONE,         /* the route reads nothing before its backend */
    ETG_FRESHNESS_UNKNOWN,      /* it does, and could not: RFC rules alone */
    ETG_FRESHNESS_KNOWN
} etg_freshness_outcome;

/* The data of the request's URL, as it was at some moment since it arrived
 * (or up to ETagFreshnessShare before). */
typedef struct etg_freshness_data {
    etg_freshness_outcome outcome;
    unsigned char digest[ETG_FRESHNESS_DIGEST_BYTES];   /* of KNOWN */
    apr_interval_time_t trust;  /* how long after a full fetch a response may
                                 * be reused because its digest holds */
    int is_by_request;          /* more than the URL says which data it is: a
                                 * field, a variable, the user, a salt */
} etg_freshness_data;

/* What became of a response on its way through the module. */
typedef struct etg_freshness_stamp {
    /* The digest from before the fetch, and the same was read after the
     * response's head had come: the body is of this data. */
    int has_data;
    unsigned char digest[ETG_FRESHNESS_DIGEST_BYTES];
    /* Are the validators in the response's fields ours? Then these are the
     * backend's own, for asking it; NULL: it sent none. In r->pool. */
    int is_etag_ours;
    int is_last_modified_ours;
    const char *backend_etag;
    const char *backend_last_modified;
} etg_freshness_stamp;

/* Would etg_freshness_read read anything? Reads nothing. */
APR_DECLARE_OPTIONAL_FN(int, etg_freshness_is_read, (request_rec *r));

/* Reads the data of r (any request_rec of the client's request), once: later
 * calls give the first one's answer. Blocks for at most the route's budget. */
APR_DECLARE_OPTIONAL_FN(void, etg_freshness_read,
                        (request_rec *r, etg_freshness_data *data));

/* Reads it again, now. 1: it is known, and what etg_freshness_read gave. For
 * a 304 of the backend, which gets no stamp. */
APR_DECLARE_OPTIONAL_FN(int, etg_freshness_holds, (request_rec *r));

/* What it did to the response that r has now; all zeros: nothing. Valid once
 * the response's head has passed AP_FTYPE_CONTENT_SET. */
APR_DECLARE_OPTIONAL_FN(void, etg_freshness_stamp_of,
                        (request_rec *r, etg_freshness_stamp *stamp));

/*
 * A note (r->notes) that the cache sets while it asks the backend for itself:
 * the preconditions in r->headers_in are then its own, with the backend's own
 * validators, and are left alone; so are those of the client, which the cache
 * decides.
 */
#define ETG_FRESHNESS_NOTE_CACHE_ASKS "etag-cache-asks"

#endif
