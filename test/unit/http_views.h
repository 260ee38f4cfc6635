/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http_views.h: requests, responses and policies in few words, for the tests
 * of the decisions. Fields are written as text, "Name: value" per line.
 */
#ifndef ETG_TEST_UNIT_HTTP_VIEWS_H
#define ETG_TEST_UNIT_HTTP_VIEWS_H

#include <stdlib.h>
#include <string.h>

#include <apr_strings.h>
#include <check.h>

#include "lib/http_view.h"
#include "lib/stored_response.h"
#include "test/unit/pool_fixture.h"
#include "test/unit/run_suite.h"

#define SECOND APR_TIME_C(1000000)
#define HOUR (3600 * SECOND)

/* When every test takes place. */
#define NOW (APR_TIME_C(1767225600) * SECOND)
#define NOW_DATE "Thu, 01 Jan 2026 00:00:00 GMT"
#define DAY_AGO_DATE "Wed, 31 Dec 2025 00:00:00 GMT"
#define HOUR_AHEAD_DATE "Thu, 01 Jan 2026 01:00:00 GMT"

static inline apr_table_t *fields_of(const char *text)
{
    apr_table_t *fields = apr_table_make(pool, 8);

    while (text != NULL && *text != '\0') {
        apr_size_t length = strcspn(text, "\n");
        const char *line = apr_pstrmemdup(pool, text, length);
        char *value = strchr(line, ':');

        *value++ = '\0';
        while (*value == ' ') {
            value++;
        }
        apr_table_addn(fields, line, value);
        text += length + (text[length] == '\n');
    }
    return fields;
}

/* The same fields as text again. */
static inline const char *text_of(const apr_table_t *fields)
{
    const apr_array_header_t *rows = apr_table_elts(fields);
    const char *text = "";

    for (int i = 0; i < rows->nelts; i++) {
        const apr_table_entry_t *row
            = &APR_ARRAY_IDX(rows, i, apr_table_entry_t);

        text = apr_pstrcat(pool, text, *text != '\0' ? "\n" : "", row->key,
                           ": ", row->val, NULL);
    }
    return text;
}

static inline etg_policy plain_policy(void)
{
    etg_policy policy = {
        .max_ttl = ETG_CC_ABSENT, .heuristic_max = HOUR, .keep = HOUR,
        .max_object = 1000
    };

    return policy;
}

static inline etg_policy heuristic_policy(void)
{
    etg_policy policy = plain_policy();

    policy.heuristic_fraction = 0.1;
    return policy;
}

static inline etg_request_view request_of(const char *method,
                                          const char *fields)
{
    etg_request_view request = {
        .method = method, .fields = fields_of(fields), .arrived_at = NOW
    };

    etg_cache_control_of(&request.cc, request.fields, 1, pool);
    return request;
}

static inline etg_response_view response_of(int status, const char *fields)
{
    etg_response_view response = {
        .status = status, .fields = fields_of(fields),
        .requested_at = NOW, .received_at = NOW
    };

    return response;
}

/* A response of 60 s lifetime, received now. */
static inline etg_stored_response stored_of(apr_uint32_t flags)
{
    etg_stored_response stored = {
        .status = 200, .requested_at = NOW, .received_at = NOW,
        .freshness = {
            .flags = flags, .date = NOW, .lifetime = 60 * SECOND,
            .stale_if_error = -1, .stale_while_revalidate = -1
        }
    };

    return stored;
}

static inline void set_fields(etg_stored_response *stored, const char *text)
{
    const apr_array_header_t *rows = apr_table_elts(fields_of(text));
    etg_field *fields = apr_palloc(pool, sizeof(*fields)
                                         * (apr_size_t)(rows->nelts + 1));

    for (int i = 0; i < rows->nelts; i++) {
        const apr_table_entry_t *row
            = &APR_ARRAY_IDX(rows, i, apr_table_entry_t);

        fields[i].name = row->key;
        fields[i].value = row->val;
        if (strcasecmp(row->key, "ETag") == 0) {
            stored->etag = row->val;
        }
        else if (strcasecmp(row->key, "Last-Modified") == 0) {
            stored->last_modified = row->val;
        }
    }
    stored->fields = fields;
    stored->field_count = (unsigned)rows->nelts;
}

static inline int run_tests(const char *subject, const TTest *const *tests)
{
    Suite *suite = suite_create(subject);
    TCase *cases = tcase_create(subject);

    tcase_add_checked_fixture(cases, open_pool, close_pool);
    for (; *tests != NULL; tests++) {
        tcase_add_test(cases, *tests);
    }
    suite_add_tcase(suite, cases);
    return run_suite(suite);
}

#endif
