/* SPDX-License-Identifier: Apache-2.0 */
/*
 * internal_connection.c: a conn_rec behind which there is no client.
 *
 * It is a secondary connection, as mod_http2's streams are: core and mod_ssl
 * leave the network alone where c->master is set, and mpm_event makes it a
 * state of its own in its pre_connection hook. What such modules read of the
 * master, they find on a dummy that lives as long as the child; nobody writes
 * to it, so threads share it.
 *
 * At the network's place stand two filters: one says EOF, the other reads the
 * response. Both run on the request's thread.
 */
#include "modules/glue/internal_run.h"

#include <arpa/inet.h>
#include <string.h>
#include <unistd.h>

#include <apr_portable.h>
#include <apr_strings.h>
#include <http_connection.h>
#include <http_core.h>
#include <http_protocol.h>
#include <util_filter.h>

/* RFC 5737: nobody's address. */
#define NOBODY "192.0.2.1"
/* mpm_event's setup_slave_conn copies a few members of the master's state
 * (event_conn_state_t, some 200 bytes) and follows none of them: the server
 * configuration it takes from there is set anew by its pre_read_request. A
 * block of zeroes does, as long as it is larger than the state. */
#define MPM_STATE_BYTES 4096
/* What an allocator keeps for the next connection. */
#define KEPT_BYTES (256 * 1024)

static apr_status_t own_pool(apr_pool_t **pool, etg_internal *internal);
static apr_allocator_t *take_spare(etg_internal *internal);
static void give_back(etg_internal *internal, apr_allocator_t *allocator);
static void set_ends(conn_rec *c, const etg_internal_ask *ask);
static apr_sockaddr_t *client_address(const etg_internal_ask *ask,
                                      apr_sockaddr_t *local, apr_pool_t *p);
static apr_sockaddr_t *parse_address(const char *ip, apr_pool_t *p);
static long next_id(etg_internal *internal);
static apr_status_t say_end(ap_filter_t *f, apr_bucket_brigade *bb,
                            ap_input_mode_t mode, apr_read_type_e block,
                            apr_off_t bytes);
static apr_status_t collect(ap_filter_t *f, apr_bucket_brigade *bb);
static apr_status_t collect_data(ap_filter_t *f, etg_internal_run *run,
                                 apr_bucket *e);

void etg_internal_connection_register(void)
{
    ap_register_input_filter(ETG_INTERNAL_IN, say_end, NULL, AP_FTYPE_NETWORK);
    ap_register_output_filter(ETG_INTERNAL_OUT, collect, NULL,
                              AP_FTYPE_NETWORK);
}

apr_status_t etg_internal_master_make(etg_internal *internal, server_rec *s)
{
    apr_pool_t *p = internal->pool;
    const module *event = ap_find_linked_module("event.c");
    conn_rec *c = apr_pcalloc(p, sizeof(*c));
    apr_status_t rv = apr_socket_create(&internal->socket, APR_INET,
                                        SOCK_STREAM, APR_PROTO_TCP, p);

    if (rv != APR_SUCCESS) {
        return rv;
    }
    c->pool = p;
    c->base_server = s;
    c->local_addr = c->client_addr = parse_address(NOBODY, p);
    c->local_ip = c->client_ip = apr_pstrdup(p, NOBODY);
    c->conn_config = ap_create_conn_config(p);
    c->notes = apr_table_make(p, 1);
    c->bucket_alloc = apr_bucket_alloc_create(p);
    c->keepalive = AP_CONN_CLOSE;
    c->clogging_input_filters = 1;
    c->log_id = "";
    if (event != NULL) {
        ap_set_module_config(c->conn_config, event,
                             apr_pcalloc(p, MPM_STATE_BYTES));
    }
    ap_set_core_module_config(c->conn_config, internal->socket);
    internal->master = c;
    return APR_SUCCESS;
}

apr_status_t etg_internal_connection_make(etg_internal_run *run,
                                          conn_rec **connection)
{
    etg_internal *internal = run->internal;
    apr_os_thread_t self = apr_os_thread_current();
    apr_pool_t *p;
    conn_rec *c;
    int status;
    apr_status_t rv = own_pool(&p, internal);

    if (rv != APR_SUCCESS) {
        return rv;
    }
    c = apr_pcalloc(p, sizeof(*c));
    c->pool = p;
    c->base_server = run->ask->server;
    c->master = internal->master;
    c->conn_config = ap_create_conn_config(p);
    c->notes = apr_table_make(p, 5);
    c->bucket_alloc = apr_bucket_alloc_create(p);
    c->id = next_id(internal);
    /* The answer ends with the connection: it need not be chunked. */
    c->keepalive = AP_CONN_CLOSE;
    /* As mod_http2 says it of its own: mpm_event is not to ask the socket. */
    c->clogging_input_filters = 1;
    set_ends(c, run->ask);
    apr_os_thread_put(&c->current_thread, &self, p);
    ap_set_core_module_config(c->conn_config, internal->socket);
    apr_pool_userdata_setn(run, ETG_INTERNAL_KEY, NULL, p);
    ap_add_input_filter(ETG_INTERNAL_IN, run, NULL, c);
    ap_add_output_filter(ETG_INTERNAL_OUT, run, NULL, c);
    /* Modules make what they keep of a connection (mod_logio crashes
     * without). */
    status = ap_run_pre_connection(c, internal->socket);
    if (status != OK && status != DONE) {
        etg_internal_connection_end(internal, c);
        return APR_EGENERAL;
    }
    *connection = c;
    return APR_SUCCESS;
}

void etg_internal_connection_end(etg_internal *internal, conn_rec *c)
{
    apr_allocator_t *allocator = apr_pool_allocator_get(c->pool);

    apr_pool_destroy(c->pool);
    give_back(internal, allocator);
}

static apr_allocator_t *take_spare(etg_internal *internal)
{
    apr_allocator_t *allocator = NULL;

    pthread_mutex_lock(&internal->lock);
    if (internal->spare_count > 0) {
        allocator = internal->spare[--internal->spare_count];
    }
    pthread_mutex_unlock(&internal->lock);
    return allocator;
}

static void give_back(etg_internal *internal, apr_allocator_t *allocator)
{
    int is_kept;

    pthread_mutex_lock(&internal->lock);
    is_kept = !internal->is_stopping
        && internal->spare_count < ETG_INTERNAL_SPARE;
    if (is_kept) {
        internal->spare[internal->spare_count++] = allocator;
    }
    pthread_mutex_unlock(&internal->lock);
    if (!is_kept) {
        apr_allocator_destroy(allocator);
    }
}

/* A pool that no other thread has to do with: no parent, and an allocator
 * without a lock that nobody else uses now. Those of connections before are
 * used again, as APR may ask the kernel for each block of a new one. */
static apr_status_t own_pool(apr_pool_t **pool, etg_internal *internal)
{
    apr_allocator_t *allocator = take_spare(internal);
    apr_status_t rv = APR_SUCCESS;

    if (allocator == NULL) {
        rv = apr_allocator_create(&allocator);
        if (rv == APR_SUCCESS) {
            apr_allocator_max_free_set(allocator, KEPT_BYTES);
        }
    }
    if (rv == APR_SUCCESS) {
        rv = apr_pool_create_unmanaged_ex(
            pool, apr_pool_abort_get(internal->pool), allocator);
    }
    if (rv == APR_SUCCESS) {
        apr_pool_tag(*pool, "etag-internal-connection");
    }
    return rv;
}

static void set_ends(conn_rec *c, const etg_internal_ask *ask)
{
    apr_sockaddr_t *local = ask->local;

    if (local == NULL && ask->server->addrs != NULL) {
        local = ask->server->addrs->host_addr;
    }
    /* A copy: looking up its name writes to it. */
    if (local == NULL
        || apr_sockaddr_info_copy(&c->local_addr, local, c->pool)
               != APR_SUCCESS) {
        c->local_addr = parse_address("0.0.0.0", c->pool);
    }
    c->client_addr = client_address(ask, c->local_addr, c->pool);
    if (apr_sockaddr_ip_get(&c->local_ip, c->local_addr) != APR_SUCCESS) {
        c->local_ip = apr_pstrdup(c->pool, "0.0.0.0");
    }
    if (apr_sockaddr_ip_get(&c->client_ip, c->client_addr) != APR_SUCCESS) {
        c->client_ip = apr_pstrdup(c->pool, NOBODY);
    }
}

static apr_sockaddr_t *client_address(const etg_internal_ask *ask,
                                      apr_sockaddr_t *local, apr_pool_t *p)
{
    apr_sockaddr_t *address = ask->client_ip == NULL
        ? NULL : parse_address(ask->client_ip, p);

    if (address == NULL || etg_internal_address_is_own(address, local)) {
        address = parse_address(NOBODY, p);
    }
    return address;
}

/* Asks no name server. */
static apr_sockaddr_t *parse_address(const char *ip, apr_pool_t *p)
{
    struct in6_addr binary;
    apr_sockaddr_t *address = NULL;
    int family = strchr(ip, ':') != NULL ? APR_INET6 : APR_INET;

    if (inet_pton(family, ip, &binary) != 1
        || apr_sockaddr_info_get(&address, ip, family, 0, 0, p)
               != APR_SUCCESS) {
        return NULL;
    }
    return address;
}

int etg_internal_address_is_own(apr_sockaddr_t *address,
                                apr_sockaddr_t *local)
{
    static const unsigned char mapped[12] = { [10] = 0xff, [11] = 0xff };
    const unsigned char *bytes;

    if (apr_sockaddr_equal(address, local)) {
        return 1;
    }
    if (address->family == APR_INET) {
        bytes = (const unsigned char *)&address->sa.sin.sin_addr;
        return bytes[0] == 127 || bytes[0] == 0;
    }
    if (address->family != APR_INET6) {
        return 1;                    /* a socket in the file system */
    }
    bytes = (const unsigned char *)&address->sa.sin6.sin6_addr;
    if (memcmp(bytes, mapped, sizeof(mapped)) == 0) {
        return bytes[12] == 127 || bytes[12] == 0;
    }
    return IN6_IS_ADDR_LOOPBACK(&address->sa.sin6.sin6_addr)
        || IN6_IS_ADDR_UNSPECIFIED(&address->sa.sin6.sin6_addr);
}

/* Of mod_unique_id's 32 bits: the highest, which no client's connection has,
 * 15 of the process, 16 of a count. */
static long next_id(etg_internal *internal)
{
    unsigned count = __atomic_fetch_add(&internal->next_id, 1,
                                        __ATOMIC_RELAXED);

    return (long)(0x80000000u | ((unsigned)getpid() & 0x7fff) << 16
                  | (count & 0xffff));
}

static apr_status_t say_end(ap_filter_t *f, apr_bucket_brigade *bb,
                            ap_input_mode_t mode, apr_read_type_e block,
                            apr_off_t bytes)
{
    (void)f;
    (void)bb;
    (void)block;
    (void)bytes;
    return mode == AP_MODE_INIT ? APR_SUCCESS : APR_EOF;
}

/* Empties the brigade whatever comes: a request lives until its last bucket
 * is destroyed. */
static apr_status_t collect(ap_filter_t *f, apr_bucket_brigade *bb)
{
    etg_internal_run *run = f->ctx;
    apr_status_t rv = APR_SUCCESS;

    if (f->c->aborted || etg_internal_run_cut(run) != APR_SUCCESS) {
        rv = APR_ECONNABORTED;
    }
    while (rv == APR_SUCCESS && !APR_BRIGADE_EMPTY(bb)) {
        apr_bucket *e = APR_BRIGADE_FIRST(bb);

        if (APR_BUCKET_IS_EOS(e)) {
            run->has_ended = 1;
        }
        else if (AP_BUCKET_IS_ERROR(e) || AP_BUCKET_IS_EOC(e)) {
            run->is_broken = 1;
        }
        else if (!APR_BUCKET_IS_METADATA(e)) {
            rv = collect_data(f, run, e);
        }
        apr_bucket_delete(e);
    }
    if (rv != APR_SUCCESS) {
        f->c->aborted = 1;
        run->is_broken = 1;
        apr_brigade_cleanup(bb);
    }
    return rv;
}

static apr_status_t collect_data(ap_filter_t *f, etg_internal_run *run,
                                 apr_bucket *e)
{
    const char *data;
    apr_size_t length;
    apr_status_t rv = apr_bucket_read(e, &data, &length, APR_BLOCK_READ);

    if (rv != APR_SUCCESS) {
        return rv;
    }
    if (run->internal->count_out != NULL) {
        run->internal->count_out(f->c, (apr_off_t)length);
    }
    rv = etg_internal_answer_read(run, data, length);
    if (run->is_head_over) {
        __atomic_store_n(&run->is_answered, 1, __ATOMIC_RELAXED);
    }
    return rv;
}
