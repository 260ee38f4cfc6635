/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pool_fixture.h: a pool for each test, which goes with all that came from
 * it. As a fixture: tcase_add_checked_fixture(cases, open_pool, close_pool).
 */
#ifndef ETG_TEST_UNIT_POOL_FIXTURE_H
#define ETG_TEST_UNIT_POOL_FIXTURE_H

#include <apr_general.h>
#include <apr_pools.h>
#include <check.h>

static apr_pool_t *pool;

static inline void open_pool(void)
{
    ck_assert_int_eq(apr_initialize(), APR_SUCCESS);
    ck_assert_int_eq(apr_pool_create(&pool, NULL), APR_SUCCESS);
}

static inline void close_pool(void)
{
    apr_pool_destroy(pool);
    apr_terminate();
}

#endif
