/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http_view.h: what a decision needs to know of a request, of a response and
 * of the configuration: plain structs that modules fill and lib/ reads.
 */
#ifndef ETG_LIB_HTTP_VIEW_H
#define ETG_LIB_HTTP_VIEW_H

#include <apr_pools.h>
#include <apr_tables.h>
#include <apr_time.h>

#include "lib/cache_control.h"

/* Why a request is private (design: private requests). */
#define ETG_PRIVATE_AUTHORIZATION 0x1u  /* an Authorization field */
#define ETG_PRIVATE_OTHER         0x2u  /* Cookie, another private header, a
                                         * logged-in user, a client
                                         * certificate */

typedef struct etg_request_view {
    const char *method;
    const apr_table_t *fields;   /* as received from the client */
    etg_cache_control cc;        /* of the request */
    unsigned privacy;            /* ETG_PRIVATE_*; 0: a public request */
    apr_time_t arrived_at;
    int collapsed;               /* waited for another request's fetch */
} etg_request_view;

typedef struct etg_response_view {
    int status;
    const apr_table_t *fields;   /* as they would be sent: all tables merged,
                                  * Content-Type included */
    apr_time_t requested_at;     /* when the fetch was begun */
    apr_time_t received_at;      /* when its fields were complete */
    int to_head;                 /* answers a HEAD: decided as for a GET, but
                                  * there is no body to store */
    int has_data;                /* would be stored with the digest of its
                                  * data, which decides its reuse */
    int is_last_modified_ours;   /* of the data; the backend never said so: no
                                  * lifetime is guessed from it */
} etg_response_view;

/* ETagCache* directives, as the decisions want them. Times in µs;
 * ETG_CC_ABSENT (-1) where a limit is not set. */
typedef struct etg_policy {
    apr_interval_time_t default_ttl;        /* D 0 */
    apr_interval_time_t max_ttl;            /* D -1: none */
    double heuristic_fraction;              /* D 0: off */
    apr_interval_time_t heuristic_max;      /* D 1 h */
    apr_interval_time_t stale_if_error;     /* D 0: as the response allows */
    apr_interval_time_t stale_while_revalidate; /* D 0 */
    apr_interval_time_t keep;               /* D 1 h past expiry */
    apr_int64_t max_object;                 /* bytes; 0: no limit */
    const char *override;                   /* Cache-Control text or NULL */
    const apr_array_header_t *targeted;     /* const char * rows, nearest
                                             * first; NULL: none */
    int refreshes_behind;                   /* a stale response may go out
                                             * while it is refreshed in the
                                             * background: there is one */
    int strip_set_cookie;
    int store_set_cookie;                   /* from public requests */
    const apr_array_header_t *refused_statuses; /* const char * rows, three
                                             * digits each; NULL: none */
    int allow_reload;
    int allow_revalidate;
    apr_interval_time_t data_trust;         /* how long past its fetch the
                                             * digest of its data may decide
                                             * on a response; D 0: there is
                                             * no source */
} etg_policy;

#endif
