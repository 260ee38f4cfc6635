/* SPDX-License-Identifier: Apache-2.0 */
/*
 * memcached_client.c: memcached's text protocol: gets, set, add, cas, delete,
 * touch.
 *
 * The text protocol, because every server and proxy speaks it and what we
 * send are a few requests with large values. What is announced is checked
 * before memory is taken for it, and values are received right into the
 * caller's pool. Whatever is not a clean answer ends the call.
 */
#include "memcached_store.h"

#include <apr_strings.h>

#include <stdarg.h>
#include <string.h>

#include "lib/memcached_reply.h"

#define BATCH 16
#define HEAD_BYTES (ETG_MEMCACHED_KEY_MAX + 96)

/* A value too long for us is read past up to this; more is no item of any
 * usual server. */
#define DROPPED_MAX (16u << 20)

/* What is still expected of the answer to a get. */
typedef struct awaited {
    const etg_memcached_key *const *keys;
    unsigned count;
    unsigned at;                   /* answers come in the order of asking */
    apr_size_t most;
    apr_pool_t *pool;
    etg_memcached_value *values;
} awaited;

static apr_status_t short_ask(etg_memcached_call *call,
                              etg_memcached_outcome *outcome,
                              const char *format, ...)
    __attribute__((format(printf, 3, 4)));
static apr_status_t get_once(etg_memcached_call *call, awaited rest);
static apr_status_t get_send(etg_memcached_call *call,
                             const etg_memcached_key *const *keys,
                             unsigned count);
static apr_status_t value_take(etg_memcached_call *call, awaited *rest,
                               const etg_memcached_reply *reply,
                               apr_size_t taken);
static apr_status_t value_read(etg_memcached_call *call, awaited *rest,
                               const etg_memcached_reply *reply);
static apr_status_t batch_put(etg_memcached_call *call,
                              etg_memcached_put_order *orders,
                              unsigned count);
static apr_status_t outcome_read(etg_memcached_call *call,
                                 etg_memcached_outcome *outcome);
static apr_size_t head_make(char *head, const etg_memcached_put_order *order);
static apr_status_t reply_await(etg_memcached_call *call,
                                etg_memcached_reply *reply,
                                apr_size_t *taken);
static apr_status_t fail(etg_memcached_call *call, apr_status_t rv);

apr_status_t etg_memcached_get(etg_memcached_call *call,
                               const etg_memcached_key *const *keys,
                               unsigned count, apr_size_t most,
                               apr_pool_t *p, etg_memcached_value *values)
{
    const awaited all = { keys, count, 0, most, p, values };
    if (call->failure != APR_SUCCESS) {
        return call->failure;
    }
    apr_status_t rv = get_once(call, all);
    if (rv != APR_SUCCESS && etg_memcached_call_again(call, rv)) {
        rv = get_once(call, all);
    }
    call->is_untried = 0;
    return fail(call, rv);
}

static apr_status_t get_once(etg_memcached_call *call, awaited rest)
{
    etg_memcached_reply reply;
    apr_size_t taken;
    memset(rest.values, 0, rest.count * sizeof(*rest.values));
    apr_status_t rv = get_send(call, rest.keys, rest.count);
    while (rv == APR_SUCCESS) {
        rv = reply_await(call, &reply, &taken);
        if (rv == APR_SUCCESS && reply.kind == ETG_MEMCACHED_REPLY_END) {
            etg_memcached_link_skip(call->link, taken);
            return APR_SUCCESS;
        }
        if (rv == APR_SUCCESS) {
            rv = reply.kind == ETG_MEMCACHED_REPLY_VALUE
                 ? value_take(call, &rest, &reply, taken) : APR_EGENERAL;
        }
    }
    return rv;
}

apr_status_t etg_memcached_put_all(etg_memcached_call *call,
                                   etg_memcached_put_order *orders,
                                   unsigned count)
{
    etg_memcached_call_prove(call);
    apr_status_t rv = call->failure;
    while (rv == APR_SUCCESS && count > 0) {
        unsigned batch = count < BATCH ? count : BATCH;
        rv = batch_put(call, orders, batch);
        orders += batch;
        count -= batch;
    }
    return fail(call, rv);
}

apr_status_t etg_memcached_put(etg_memcached_call *call,
                               etg_memcached_verb verb,
                               const etg_memcached_key *key, etg_bytes item,
                               apr_int64_t exptime, apr_uint64_t cas,
                               etg_memcached_outcome *outcome)
{
    etg_memcached_put_order order = { verb, key, item, exptime, cas,
                                      ETG_MEMCACHED_NOT_DONE };
    apr_status_t rv = etg_memcached_put_all(call, &order, 1);
    if (rv == APR_SUCCESS) {
        *outcome = order.outcome;
    }
    return rv;
}

apr_status_t etg_memcached_delete(etg_memcached_call *call,
                                  const etg_memcached_key *key,
                                  etg_memcached_outcome *outcome)
{
    return short_ask(call, outcome, "delete %s\r\n", key->text);
}

apr_status_t etg_memcached_touch(etg_memcached_call *call,
                                 const etg_memcached_key *key,
                                 apr_int64_t exptime,
                                 etg_memcached_outcome *outcome)
{
    return short_ask(call, outcome, "touch %s %" APR_INT64_T_FMT "\r\n",
                     key->text, exptime);
}

/* A request without a value. */
static apr_status_t short_ask(etg_memcached_call *call,
                              etg_memcached_outcome *outcome,
                              const char *format, ...)
{
    char text[HEAD_BYTES];
    va_list arguments;
    etg_memcached_call_prove(call);
    if (call->failure != APR_SUCCESS) {
        return call->failure;
    }
    va_start(arguments, format);
    int length = apr_vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    struct iovec part = { text, (size_t)length };
    apr_status_t rv = etg_memcached_link_send(call->link, &part, 1,
                                              call->deadline);
    return fail(call, rv != APR_SUCCESS ? rv : outcome_read(call, outcome));
}

/* In one piece: cheaper for the kernel to take than its parts. */
static apr_status_t get_send(etg_memcached_call *call,
                             const etg_memcached_key *const *keys,
                             unsigned count)
{
    char line[ETG_MEMCACHED_GET_MAX * (ETG_MEMCACHED_KEY_MAX + 1) + 6];
    char *at = line + 4;
    if (count > ETG_MEMCACHED_GET_MAX) {
        return APR_EINVAL;
    }
    memcpy(line, "gets", 4);
    for (unsigned i = 0; i < count; i++) {
        *at++ = ' ';
        memcpy(at, keys[i]->text, keys[i]->length);
        at += keys[i]->length;
    }
    memcpy(at, "\r\n", 2);
    struct iovec part = { line, (apr_size_t)(at + 2 - line) };
    return etg_memcached_link_send(call->link, &part, 1, call->deadline);
}

/* A value nobody asked for is another's answer. */
static apr_status_t value_take(etg_memcached_call *call, awaited *rest,
                               const etg_memcached_reply *reply,
                               apr_size_t taken)
{
    while (rest->at < rest->count
           && (rest->keys[rest->at]->length != reply->key.length
               || memcmp(rest->keys[rest->at]->text, reply->key.data,
                         reply->key.length) != 0)) {
        rest->at++;
    }
    if (rest->at == rest->count || reply->length > DROPPED_MAX) {
        return APR_EGENERAL;
    }
    etg_memcached_link_skip(call->link, taken);
    apr_status_t rv = value_read(call, rest, reply);
    rest->at++;
    return rv;
}

static apr_status_t value_read(etg_memcached_call *call, awaited *rest,
                               const etg_memcached_reply *reply)
{
    etg_memcached_value *value = &rest->values[rest->at];
    apr_size_t length = (apr_size_t)reply->length;
    unsigned char end[2];
    unsigned char *bytes = NULL;
    if (length <= rest->most) {
        bytes = apr_palloc(rest->pool, length + 1);
    }
    apr_status_t rv = etg_memcached_link_read(call->link, bytes, length,
                                              call->deadline);
    if (rv == APR_SUCCESS) {
        rv = etg_memcached_link_read(call->link, end, sizeof(end),
                                     call->deadline);
    }
    if (rv == APR_SUCCESS && (end[0] != '\r' || end[1] != '\n')) {
        rv = APR_EGENERAL;
    }
    if (rv == APR_SUCCESS && bytes != NULL) {
        value->bytes.data = bytes;
        value->bytes.length = length;
        value->cas = reply->cas;
    }
    return rv;
}

static apr_status_t batch_put(etg_memcached_call *call,
                              etg_memcached_put_order *orders,
                              unsigned count)
{
    char heads[BATCH][HEAD_BYTES];
    struct iovec parts[3 * BATCH];
    for (unsigned i = 0; i < count; i++) {
        struct iovec *part = &parts[3 * i];
        part[0].iov_base = heads[i];
        part[0].iov_len = head_make(heads[i], &orders[i]);
        part[1].iov_base = (void *)orders[i].item.data;
        part[1].iov_len = orders[i].item.length;
        part[2].iov_base = "\r\n";
        part[2].iov_len = 2;
    }
    apr_status_t rv = etg_memcached_link_send(call->link, parts, 3 * count,
                                              call->deadline);
    for (unsigned i = 0; i < count && rv == APR_SUCCESS; i++) {
        rv = outcome_read(call, &orders[i].outcome);
    }
    return rv;
}

static apr_size_t head_make(char *head, const etg_memcached_put_order *order)
{
    static const char *const verbs[] = { "set", "add", "cas" };
    int length = apr_snprintf(head, HEAD_BYTES,
                              "%s %s 0 %" APR_INT64_T_FMT " %"
                              APR_SIZE_T_FMT, verbs[order->verb],
                              order->key->text, order->exptime,
                              order->item.length);
    if (order->verb == ETG_MEMCACHED_CAS) {
        length += apr_snprintf(head + length, HEAD_BYTES - length,
                               " %" APR_UINT64_T_FMT, order->cas);
    }
    memcpy(head + length, "\r\n", 2);
    return (apr_size_t)length + 2;
}

/* The answer to all but gets. */
static apr_status_t outcome_read(etg_memcached_call *call,
                                 etg_memcached_outcome *outcome)
{
    etg_memcached_reply reply;
    apr_size_t taken;
    apr_status_t rv = reply_await(call, &reply, &taken);
    if (rv != APR_SUCCESS) {
        return rv;
    }
    switch (reply.kind) {
    case ETG_MEMCACHED_REPLY_STORED:
    case ETG_MEMCACHED_REPLY_DELETED:
    case ETG_MEMCACHED_REPLY_TOUCHED:
        *outcome = ETG_MEMCACHED_DONE;
        break;
    case ETG_MEMCACHED_REPLY_NOT_STORED:
    case ETG_MEMCACHED_REPLY_EXISTS:
    case ETG_MEMCACHED_REPLY_NOT_FOUND:
        *outcome = ETG_MEMCACHED_NOT_DONE;
        break;
    case ETG_MEMCACHED_REPLY_NO_ROOM:
        *outcome = ETG_MEMCACHED_REFUSED;
        etg_memcached_count_add(call->store, ETG_MEMCACHED_REFUSED_ITEMS, 1);
        break;
    default:
        return APR_EGENERAL;
    }
    etg_memcached_link_skip(call->link, taken);
    return APR_SUCCESS;
}

/* The next line; `reply` points into the buffer until it is skipped. */
static apr_status_t reply_await(etg_memcached_call *call,
                                etg_memcached_reply *reply,
                                apr_size_t *taken)
{
    for (;;) {
        apr_status_t rv = etg_memcached_reply_read(
            etg_memcached_link_peek(call->link), reply, taken);
        if (rv != APR_INCOMPLETE) {
            return rv;
        }
        rv = etg_memcached_link_fill(call->link, call->deadline);
        if (rv != APR_SUCCESS) {
            return rv;
        }
    }
}

static apr_status_t fail(etg_memcached_call *call, apr_status_t rv)
{
    if (call->failure == APR_SUCCESS) {
        call->failure = rv;
    }
    return rv;
}
