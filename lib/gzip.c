/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gzip.c: zlib's two streams behind a sink.
 *
 * Input is fed in pieces that zlib's counters can hold; output gathers in one
 * 16 KB portion, which goes to the sink when it is full or the input is used
 * up (deflating: only when full, or at the end). The first failure stays: a
 * coder that has failed says so to every later call, and zlib's memory is
 * freed at the end or with the pool, whichever is first.
 */
#include "lib/gzip.h"

#include <zlib.h>

#define PORTION_BYTES 16384
#define INPUT_BYTES_MAX ((apr_size_t)1 << 30)

/* The largest window, with gzip's header and trailer. */
#define WINDOW_BITS (15 + 16)
#define MEMORY_LEVEL 8

/* What both have: a stream and where its output goes. */
typedef struct gzip_coder {
    z_stream stream;
    int (*release)(z_stream *stream);   /* NULL: zlib's memory is freed */
    etg_gzip_sink *sink;
    void *baton;
    apr_pool_t *pool;
    apr_uint64_t written;
    apr_status_t failed;                /* what all later calls answer */
    unsigned char portion[PORTION_BYTES];
} gzip_coder;

struct etg_deflater {
    gzip_coder coder;
};

struct etg_inflater {
    gzip_coder coder;
    apr_uint64_t limit;
    int is_between;                     /* one has ended, none begun since */
};

static gzip_coder *make_coder(apr_size_t bytes, etg_gzip_sink *sink,
                              void *baton, apr_pool_t *p);
static void watch(gzip_coder *coder, int (*end)(z_stream *stream));
static apr_status_t release(void *data);
static apr_status_t close_coder(gzip_coder *coder);
static apr_status_t fail(gzip_coder *coder, apr_status_t rv);
static apr_status_t pour(gzip_coder *coder);
static apr_status_t deflate_input(gzip_coder *coder, int flush);
static apr_status_t inflate_input(etg_inflater *inflater);
static apr_status_t inflate_portion(etg_inflater *inflater);

apr_status_t etg_deflater_begin(etg_deflater **deflater, int level,
                                etg_gzip_sink *sink, void *baton,
                                apr_pool_t *p)
{
    gzip_coder *made = make_coder(sizeof(etg_deflater), sink, baton, p);

    if (deflateInit2(&made->stream, level, Z_DEFLATED, WINDOW_BITS,
                     MEMORY_LEVEL, Z_DEFAULT_STRATEGY) != Z_OK) {
        return APR_ENOMEM;
    }
    watch(made, deflateEnd);
    *deflater = (etg_deflater *)made;
    return APR_SUCCESS;
}

apr_status_t etg_deflater_add(etg_deflater *deflater, const void *data,
                              apr_size_t length)
{
    gzip_coder *coder = &deflater->coder;
    apr_status_t rv = coder->failed;

    while (rv == APR_SUCCESS && length > 0) {
        apr_size_t piece = length < INPUT_BYTES_MAX ? length : INPUT_BYTES_MAX;

        coder->stream.next_in = (Bytef *)data;
        coder->stream.avail_in = (uInt)piece;
        rv = deflate_input(coder, Z_NO_FLUSH);
        data = (const char *)data + piece;
        length -= piece;
    }
    return rv;
}

apr_status_t etg_deflater_end(etg_deflater *deflater)
{
    gzip_coder *coder = &deflater->coder;

    if (coder->failed == APR_SUCCESS) {
        coder->stream.avail_in = 0;
        deflate_input(coder, Z_FINISH);
    }
    return close_coder(coder);
}

apr_uint64_t etg_deflater_written(const etg_deflater *deflater)
{
    return deflater->coder.written + PORTION_BYTES
           - deflater->coder.stream.avail_out;
}

apr_status_t etg_inflater_begin(etg_inflater **inflater, apr_uint64_t limit,
                                etg_gzip_sink *sink, void *baton,
                                apr_pool_t *p)
{
    gzip_coder *made = make_coder(sizeof(etg_inflater), sink, baton, p);

    if (inflateInit2(&made->stream, WINDOW_BITS) != Z_OK) {
        return APR_ENOMEM;
    }
    watch(made, inflateEnd);
    *inflater = (etg_inflater *)made;
    (*inflater)->limit = limit;
    return APR_SUCCESS;
}

apr_status_t etg_inflater_add(etg_inflater *inflater, const void *data,
                              apr_size_t length)
{
    gzip_coder *coder = &inflater->coder;
    apr_status_t rv = coder->failed;

    while (rv == APR_SUCCESS && length > 0) {
        apr_size_t piece = length < INPUT_BYTES_MAX ? length : INPUT_BYTES_MAX;

        coder->stream.next_in = (Bytef *)data;
        coder->stream.avail_in = (uInt)piece;
        rv = inflate_input(inflater);
        data = (const char *)data + piece;
        length -= piece;
    }
    return rv;
}

apr_status_t etg_inflater_end(etg_inflater *inflater)
{
    gzip_coder *coder = &inflater->coder;

    if (coder->failed == APR_SUCCESS && !inflater->is_between) {
        fail(coder, APR_EOF);
    }
    return close_coder(coder);
}

apr_uint64_t etg_inflater_written(const etg_inflater *inflater)
{
    return inflater->coder.written;
}

/* Memory for either, which begins with the coder. */
static gzip_coder *make_coder(apr_size_t bytes, etg_gzip_sink *sink,
                              void *baton, apr_pool_t *p)
{
    gzip_coder *made = apr_pcalloc(p, bytes);

    made->sink = sink;
    made->baton = baton;
    made->pool = p;
    made->stream.next_out = made->portion;
    made->stream.avail_out = PORTION_BYTES;
    return made;
}

static void watch(gzip_coder *coder, int (*end)(z_stream *stream))
{
    coder->release = end;
    apr_pool_cleanup_register(coder->pool, coder, release,
                              apr_pool_cleanup_null);
}

static apr_status_t release(void *data)
{
    gzip_coder *coder = data;

    if (coder->release != NULL) {
        coder->release(&coder->stream);
        coder->release = NULL;
    }
    return APR_SUCCESS;
}

/* What became of it; later calls are errors. */
static apr_status_t close_coder(gzip_coder *coder)
{
    apr_status_t rv = coder->failed;

    apr_pool_cleanup_run(coder->pool, coder, release);
    fail(coder, APR_EINVAL);
    return rv;
}

static apr_status_t fail(gzip_coder *coder, apr_status_t rv)
{
    if (coder->failed == APR_SUCCESS) {
        coder->failed = rv;
    }
    return coder->failed;
}

/* Hands the portion over, full or not. */
static apr_status_t pour(gzip_coder *coder)
{
    apr_size_t length = PORTION_BYTES - coder->stream.avail_out;
    apr_status_t rv;

    coder->stream.next_out = coder->portion;
    coder->stream.avail_out = PORTION_BYTES;
    if (length == 0) {
        return APR_SUCCESS;
    }
    rv = coder->sink(coder->baton, coder->portion, length);
    if (rv != APR_SUCCESS) {
        return fail(coder, rv);
    }
    coder->written += length;
    return APR_SUCCESS;
}

static apr_status_t deflate_input(gzip_coder *coder, int flush)
{
    for (;;) {
        int answer = deflate(&coder->stream, flush);

        if (answer != Z_OK && answer != Z_BUF_ERROR
            && answer != Z_STREAM_END) {
            return fail(coder, APR_EGENERAL);
        }
        if (answer == Z_STREAM_END) {
            return pour(coder);
        }
        if (coder->stream.avail_out > 0) {
            return APR_SUCCESS;      /* all input is taken */
        }
        if (pour(coder) != APR_SUCCESS) {
            return coder->failed;
        }
    }
}

/* Until the input is used up and zlib holds no output of it any more. */
static apr_status_t inflate_input(etg_inflater *inflater)
{
    gzip_coder *coder = &inflater->coder;
    int is_full = 0;

    while (coder->stream.avail_in > 0 || is_full) {
        if (inflater->is_between) {
            if (coder->stream.avail_in == 0) {
                break;
            }
            inflateReset(&coder->stream);
            inflater->is_between = 0;
        }
        if (inflate_portion(inflater) != APR_SUCCESS) {
            return coder->failed;
        }
        is_full = coder->stream.avail_out == 0;
        if (pour(coder) != APR_SUCCESS) {
            return coder->failed;
        }
    }
    return APR_SUCCESS;
}

static apr_status_t inflate_portion(etg_inflater *inflater)
{
    gzip_coder *coder = &inflater->coder;
    int answer = inflate(&coder->stream, Z_NO_FLUSH);
    apr_size_t made = PORTION_BYTES - coder->stream.avail_out;

    if (answer == Z_MEM_ERROR) {
        return fail(coder, APR_ENOMEM);
    }
    if (answer != Z_OK && answer != Z_BUF_ERROR && answer != Z_STREAM_END) {
        return fail(coder, APR_EINVAL);
    }
    if (inflater->limit > 0 && made > inflater->limit - coder->written) {
        return fail(coder, APR_ENOSPC);
    }
    inflater->is_between = answer == Z_STREAM_END;
    return APR_SUCCESS;
}
