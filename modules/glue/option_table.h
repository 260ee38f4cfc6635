/* SPDX-License-Identifier: Apache-2.0 */
/*
 * option_table.h: one row declares a directive.
 *
 * The row of the module's command table says where the value lives, how it
 * is written, its default and its range; from it come parsing, range errors,
 * defaults, creation and merging. Adding a directive is one struct member and
 * one row (and its documentation: make check compares them).
 *
 *     typedef struct cache_dir {
 *         etg_options options;            first, always
 *         apr_int64_t max_ttl;            microseconds
 *         int collapse;
 *     } cache_dir;
 *
 *     static const command_rec commands[] = {
 *         AP_INIT_TAKE1("ETagCacheMaxTTL", etg_option_set,
 *                       ETG_DURATION(cache_dir, max_ttl, .def = ETG_NONE,
 *                                    .word = "none", .max = ETG_YEAR),
 *                       RSRC_CONF | ACCESS_CONF, "Upper bound on freshness"),
 *         AP_INIT_TAKE1("ETagCacheCollapse", etg_option_set,
 *                       ETG_FLAG(cache_dir, collapse, .def = 1),
 *                       RSRC_CONF | ACCESS_CONF, "One fetch for everybody"),
 *         { .name = NULL }
 *     };
 *
 *     static void *create_dir(apr_pool_t *p, char *where)
 *     {
 *         return etg_option_create(p, sizeof(cache_dir), ETG_OPTION_DIRECTORY,
 *                                  commands, &etag_cache_module);
 *     }
 *
 * The module's merge function for directories *is* etg_option_merge (same
 * signature); a struct with members beside the options wraps it.
 *
 * Where a value lives follows from the row's context: RSRC_CONF alone is the
 * server structure, anything with ACCESS_CONF the directory structure. A
 * module with directives creates a directory structure in any case, and a
 * server structure if it has a RSRC_CONF row; both come from the one table.
 * No directive is ever accepted in .htaccess, nor inside <Limit>.
 *
 * Values are always readable: creation fills in the defaults, `options` keeps
 * a bit per row that was really written, and merging copies only those. Bits
 * are places in the table, so a table has at most ETG_OPTION_ROWS rows.
 *
 * Rows with lists use AP_INIT_ITERATE: words and lines of one section add up,
 * an inner section replaces, the word "none" empties what was said so far.
 * Rows with `.then` use AP_INIT_TAKE12 and etg_option_set2.
 */
#ifndef ETG_GLUE_OPTION_TABLE_H
#define ETG_GLUE_OPTION_TABLE_H

#include <stddef.h>

#include <apr_tables.h>
#include <ap_expr.h>
#include <http_config.h>

#include "lib/option_value.h"

#define ETG_OPTION_ROWS 64

/* A `.def` for durations, sizes and integers that have no value. */
#define ETG_NONE (-1)

typedef enum etg_option_side {
    ETG_OPTION_SERVER,
    ETG_OPTION_DIRECTORY
} etg_option_side;

/* Head of every structure that options live in. Nobody but option_table.c
 * looks inside. */
typedef struct etg_options {
    const command_rec *table;
    module *owner;
    apr_size_t bytes;           /* of the whole structure */
    etg_option_side side;
    apr_uint64_t written;       /* one bit per row of `table` */
} etg_options;

typedef enum etg_option_kind {
    ETG_KIND_DURATION,
    ETG_KIND_SIZE,
    ETG_KIND_INTEGER,
    ETG_KIND_FLAG,
    ETG_KIND_ENUM,
    ETG_KIND_FRACTION,
    ETG_KIND_TEXT,
    ETG_KIND_STRINGS,
    ETG_KIND_EXPR
} etg_option_kind;

/*
 * A row's option. Only members with a dot below are written in rows:
 * .def            default of numbers, flags and enums (0)
 * .def_fraction   default of fractions (0)
 * .def_text       default of a text or list, words separated by spaces
 * .min .max       range of numbers; .max left out: no upper end
 * .word           a word for "no value" (in any case): for numbers, flags,
 *                 enums and fractions another way to write the default; for
 *                 texts, lists and expressions NULL or the empty list, and
 *                 "none" if left out
 * .check          asked, unless it was `.word`, with a pointer to the value
 *                 (of the member's type; for lists to the one new word, a
 *                 const char *). Returns NULL or how the sentence
 *                 `ETagX: "value" ...` ends, in cmd->pool.
 * .then           the option of a second, optional argument
 */
typedef struct etg_option {
    etg_option_kind kind;
    apr_size_t offset;
    apr_int64_t def, min, max;
    double def_fraction;
    const char *def_text;
    const char *word;
    const char *const *names;
    const char *(*check)(cmd_parms *cmd, const void *value);
    const struct etg_option *then;
} etg_option;

/* The place of a member, refused by the compiler if its type is another. */
#define ETG_PLACE(struct_, member_, type_) \
    (offsetof(struct_, member_) \
     + 0 * sizeof(char[_Generic(((struct_ *)0)->member_, type_: 1)]))

#define ETG_OPTION(kind_, struct_, member_, type_, ...) \
    ((void *)&(const etg_option) { \
        .kind = (kind_), \
        .offset = ETG_PLACE(struct_, member_, type_), __VA_ARGS__ })

/* apr_int64_t, microseconds */
#define ETG_DURATION(struct_, member_, ...) \
    ETG_OPTION(ETG_KIND_DURATION, struct_, member_, apr_int64_t, __VA_ARGS__)
/* apr_int64_t, bytes */
#define ETG_SIZE(struct_, member_, ...) \
    ETG_OPTION(ETG_KIND_SIZE, struct_, member_, apr_int64_t, __VA_ARGS__)
/* int */
#define ETG_INTEGER(struct_, member_, ...) \
    ETG_OPTION(ETG_KIND_INTEGER, struct_, member_, int, __VA_ARGS__)
/* int: 0 or 1 */
#define ETG_FLAG(struct_, member_, ...) \
    ETG_OPTION(ETG_KIND_FLAG, struct_, member_, int, __VA_ARGS__)
/* int: the place in `names_`, an array of names that ends with NULL */
#define ETG_ENUM(struct_, member_, names_, ...) \
    ETG_OPTION(ETG_KIND_ENUM, struct_, member_, int, \
               .names = (names_), __VA_ARGS__)
/* double */
#define ETG_FRACTION(struct_, member_, ...) \
    ETG_OPTION(ETG_KIND_FRACTION, struct_, member_, double, __VA_ARGS__)
/* const char *, NULL if there is none */
#define ETG_TEXT(struct_, member_, ...) \
    ETG_OPTION(ETG_KIND_TEXT, struct_, member_, const char *, __VA_ARGS__)
/* apr_array_header_t * of const char *, never NULL */
#define ETG_STRINGS(struct_, member_, ...) \
    ETG_OPTION(ETG_KIND_STRINGS, struct_, member_, apr_array_header_t *, \
               __VA_ARGS__)
/* ap_expr_info_t *, NULL if there is none */
#define ETG_EXPR(struct_, member_, ...) \
    ETG_OPTION(ETG_KIND_EXPR, struct_, member_, ap_expr_info_t *, \
               __VA_ARGS__)

/* Makes a zeroed structure of `bytes` bytes with the defaults of all rows
 * of `table` that live on `side`. */
void *etg_option_create(apr_pool_t *p, apr_size_t bytes, etg_option_side side,
                        const command_rec *table, module *owner);

/* A copy of `base` with everything that was written in `added`. Members that
 * no row describes are base's. */
void *etg_option_merge(apr_pool_t *p, void *base, void *added);

/* For AP_INIT_TAKE1 and AP_INIT_ITERATE rows. */
const char *etg_option_set(cmd_parms *cmd, void *directory, const char *text);

/* For AP_INIT_TAKE12 rows: the second argument goes to the option's `.then`,
 * which takes its default if there is none. */
const char *etg_option_set2(cmd_parms *cmd, void *directory,
                            const char *first, const char *second);

/* Whether the row for `member_` was written here or further out. */
#define ETG_OPTION_IS_WRITTEN(config_, struct_, member_) \
    etg_option_is_written(config_, offsetof(struct_, member_))
int etg_option_is_written(const void *config, apr_size_t offset);

#endif
