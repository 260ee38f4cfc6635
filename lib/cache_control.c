/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cache_control.c: reads Cache-Control and targeted fields.
 *
 * One table names the directives, what kind of argument each takes and where
 * it goes; Cache-Control and the targeted fields differ only in how they
 * come to a name and an argument. Doubt is resolved to the safe side: what
 * forbids or shortens holds even if its argument is damaged, what permits
 * does not.
 */
#include "lib/cache_control.h"

#include <stddef.h>

#include <apr_strings.h>

#include "lib/field_list.h"
#include "lib/structured_field.h"

#define SECONDS_MAX (APR_INT64_C(1) << 31)
/* Longer lists of names make their directive unqualified. */
#define NAMES_BYTES_MAX 2048

typedef enum directive_kind {
    FORBIDS,            /* a flag that counts even if damaged */
    PERMITS,            /* a flag that counts only if well-formed */
    FIELD_NAMES,        /* a flag, or a list of field names */
    SECONDS,            /* of several the smallest holds */
    SECONDS_AT_LEAST,   /* of several the largest holds */
    SECONDS_OR_FLAG     /* SECONDS that may stand alone */
} directive_kind;

typedef struct directive {
    const char *name;
    directive_kind kind;
    unsigned flag;
    apr_size_t offset;  /* of the seconds or names in etg_cache_control */
} directive;

typedef enum argument_state {
    NO_ARGUMENT,
    ARGUMENT,
    DAMAGED,            /* an argument, or what looks like one, that is none */
    DAMAGED_QUOTES      /* the same, and where it ends is in doubt */
} argument_state;

typedef struct line_reader {
    etg_cache_control *cc;
    apr_pool_t *p;
} line_reader;

#define AT(member) offsetof(etg_cache_control, member)

static const directive directives[] = {
    { "max-age",          SECONDS,          0, AT(max_age) },
    { "s-maxage",         SECONDS,          0, AT(s_maxage) },
    { "no-cache",         FIELD_NAMES,      ETG_CC_NO_CACHE,
                                            AT(no_cache_fields) },
    { "no-store",         FORBIDS,          ETG_CC_NO_STORE, 0 },
    { "private",          FIELD_NAMES,      ETG_CC_PRIVATE,
                                            AT(private_fields) },
    { "public",           PERMITS,          ETG_CC_PUBLIC, 0 },
    { "must-revalidate",  FORBIDS,          ETG_CC_MUST_REVALIDATE, 0 },
    { "proxy-revalidate", FORBIDS,          ETG_CC_PROXY_REVALIDATE, 0 },
    { "must-understand",  PERMITS,          ETG_CC_MUST_UNDERSTAND, 0 },
    { "no-transform",     FORBIDS,          ETG_CC_NO_TRANSFORM, 0 },
    { "immutable",        PERMITS,          ETG_CC_IMMUTABLE, 0 },
    { "only-if-cached",   FORBIDS,          ETG_CC_ONLY_IF_CACHED, 0 },
    { "min-fresh",        SECONDS_AT_LEAST, 0, AT(min_fresh) },
    { "max-stale",        SECONDS_OR_FLAG,  ETG_CC_MAX_STALE_ANY,
                                            AT(max_stale) },
    { "stale-while-revalidate", SECONDS,    0, AT(stale_while_revalidate) },
    { "stale-if-error",   SECONDS,          0, AT(stale_if_error) }
};

static int parse_line(void *baton, const char *name, const char *value);
static void read_member(etg_cache_control *cc, etg_bytes member,
                        apr_pool_t *p);
static argument_state read_argument(etg_bytes text, etg_bytes *argument,
                                    apr_pool_t *p);
static argument_state read_quoted(etg_bytes text, etg_bytes *argument,
                                  apr_pool_t *p);
static const directive *find_directive(etg_bytes name);
static void apply(etg_cache_control *cc, const directive *row,
                  argument_state state, etg_bytes argument, apr_pool_t *p);
static void apply_structured(etg_cache_control *cc, const etg_sf_member *row,
                             apr_pool_t *p);
static void add_seconds(etg_cache_control *cc, const directive *row,
                        apr_int64_t seconds);
static int add_names(etg_cache_control *cc, const directive *row,
                     etg_bytes list, apr_pool_t *p);

void etg_cache_control_init(etg_cache_control *cc)
{
    cc->flags = 0;
    cc->max_age = ETG_CC_ABSENT;
    cc->s_maxage = ETG_CC_ABSENT;
    cc->min_fresh = ETG_CC_ABSENT;
    cc->max_stale = ETG_CC_ABSENT;
    cc->stale_while_revalidate = ETG_CC_ABSENT;
    cc->stale_if_error = ETG_CC_ABSENT;
    cc->private_fields = NULL;
    cc->no_cache_fields = NULL;
    cc->present = 0;
}

void etg_cache_control_parse(etg_cache_control *cc, etg_bytes value,
                             apr_pool_t *p)
{
    etg_bytes member;

    while (etg_list_next(&value, &member)) {
        read_member(cc, member, p);
    }
    if (cc->max_stale != ETG_CC_ABSENT) {
        cc->flags &= ~ETG_CC_MAX_STALE_ANY;
    }
}

/* Line by line, so that a quote left open hides nothing of the next line. */
void etg_cache_control_of(etg_cache_control *cc, const apr_table_t *fields,
                          int is_request, apr_pool_t *p)
{
    line_reader reader = { cc, p };

    etg_cache_control_init(cc);
    apr_table_do(parse_line, &reader, fields, "Cache-Control", NULL);
    if (is_request && !cc->present
        && etg_list_has_token(etg_field_combined(fields, "Pragma", p),
                              "no-cache")) {
        cc->flags |= ETG_CC_NO_CACHE;
    }
}

int etg_cache_control_targeted(etg_cache_control *cc,
                               const apr_table_t *fields, const char *name,
                               apr_pool_t *p)
{
    const char *value = etg_field_combined(fields, name, p);
    apr_array_header_t *members;
    int i;

    etg_cache_control_init(cc);
    if (value == NULL
        || etg_sf_dictionary(etg_bytes_of(value), p, &members) != APR_SUCCESS
        || members->nelts == 0) {
        return 0;
    }
    cc->present = 1;
    for (i = 0; i < members->nelts; i++) {
        apply_structured(cc, &APR_ARRAY_IDX(members, i, etg_sf_member), p);
    }
    if (cc->max_stale != ETG_CC_ABSENT) {
        cc->flags &= ~ETG_CC_MAX_STALE_ANY;
    }
    return 1;
}

static int parse_line(void *baton, const char *name, const char *value)
{
    line_reader *reader = baton;

    (void)name;
    reader->cc->present = 1;
    etg_cache_control_parse(reader->cc, etg_bytes_of(value), reader->p);
    return 1;
}

static void read_member(etg_cache_control *cc, etg_bytes member,
                        apr_pool_t *p)
{
    etg_bytes name = { member.data, 0 };
    etg_bytes argument = { NULL, 0 };
    const directive *row;
    argument_state state;

    while (name.length < member.length
           && etg_is_token_byte(member.data[name.length])) {
        name.length++;
    }
    member.data += name.length;
    member.length -= name.length;
    state = read_argument(member, &argument, p);
    if (state == DAMAGED_QUOTES) {
        /* Whatever follows may be part of it: nobody can tell what this
         * field forbids. */
        cc->flags |= ETG_CC_NO_STORE | ETG_CC_MALFORMED;
    }
    row = find_directive(name);
    if (row != NULL) {
        apply(cc, row, state, argument, p);
    }
}

/* What follows a directive's name: nothing, or "=" and a token or quoted
 * string. */
static argument_state read_argument(etg_bytes text, etg_bytes *argument,
                                    apr_pool_t *p)
{
    apr_size_t i;

    if (text.length == 0) {
        return NO_ARGUMENT;
    }
    if (text.length >= 2 && text.data[0] == '=' && text.data[1] == '"') {
        text.data += 2;
        text.length -= 2;
        return read_quoted(text, argument, p);
    }
    for (i = 0; i < text.length; i++) {
        if (text.data[i] == '"') {
            return DAMAGED_QUOTES;
        }
    }
    if (text.data[0] != '=') {
        return DAMAGED;
    }
    text.data++;
    text.length--;
    if (!etg_is_token(text)) {
        return DAMAGED;
    }
    *argument = text;
    return ARGUMENT;
}

/* From behind the opening quote; the closing one must be the last byte. */
static argument_state read_quoted(etg_bytes text, etg_bytes *argument,
                                  apr_pool_t *p)
{
    unsigned char *copy = apr_palloc(p, text.length + 1);
    apr_size_t length = 0;
    apr_size_t i;

    for (i = 0; i < text.length && text.data[i] != '"'; i++) {
        if (text.data[i] == '\\' && i + 1 < text.length) {
            i++;
        }
        copy[length++] = text.data[i];
    }
    if (i + 1 != text.length) {
        return DAMAGED_QUOTES;
    }
    argument->data = copy;
    argument->length = length;
    return ARGUMENT;
}

static const directive *find_directive(etg_bytes name)
{
    apr_size_t i;

    for (i = 0; i < sizeof(directives) / sizeof(directives[0]); i++) {
        if (etg_bytes_is(name, directives[i].name)) {
            return &directives[i];
        }
    }
    return NULL;
}

static void apply(etg_cache_control *cc, const directive *row,
                  argument_state state, etg_bytes argument, apr_pool_t *p)
{
    apr_int64_t seconds = 0;

    switch (row->kind) {
    case FORBIDS:
        cc->flags |= row->flag;
        break;
    case PERMITS:
        if (state == NO_ARGUMENT || state == ARGUMENT) {
            cc->flags |= row->flag;
        }
        break;
    case FIELD_NAMES:
        if (state != ARGUMENT || !add_names(cc, row, argument, p)) {
            cc->flags |= row->flag;
        }
        break;
    case SECONDS_OR_FLAG:
        if (state == NO_ARGUMENT) {
            cc->flags |= row->flag;
            break;
        }
        /* fall through */
    case SECONDS:
    case SECONDS_AT_LEAST:
        if (state != ARGUMENT || !etg_delta_seconds(argument, &seconds)) {
            cc->flags |= ETG_CC_MALFORMED;
        }
        add_seconds(cc, row, seconds);
        break;
    }
}

/*
 * A member of the wrong type is ignored, as RFC 9213 has it, with one
 * exception: no-store, private and no-cache hold unless they say ?0, because
 * missing one gives away what somebody meant to keep.
 */
static void apply_structured(etg_cache_control *cc, const etg_sf_member *row,
                             apr_pool_t *p)
{
    const directive *found = find_directive(etg_bytes_of(row->key));
    int is_flag = row->type == ETG_SF_BOOLEAN;

    if (found == NULL || (is_flag && !row->number)) {
        return;
    }
    switch (found->kind) {
    case FORBIDS:
    case PERMITS:
        if (is_flag || found->flag == ETG_CC_NO_STORE) {
            cc->flags |= found->flag;
        }
        break;
    case FIELD_NAMES:
        if ((row->type != ETG_SF_STRING && row->type != ETG_SF_TOKEN)
            || !add_names(cc, found, etg_bytes_of(row->text), p)) {
            cc->flags |= found->flag;
        }
        break;
    case SECONDS:
    case SECONDS_AT_LEAST:
    case SECONDS_OR_FLAG:
        if (is_flag) {
            cc->flags |= found->flag;
        }
        else if (row->type == ETG_SF_INTEGER && row->number >= 0) {
            add_seconds(cc, found, row->number);
        }
        break;
    }
}

static void add_seconds(etg_cache_control *cc, const directive *row,
                        apr_int64_t seconds)
{
    apr_int64_t *into = (apr_int64_t *)((char *)cc + row->offset);
    int is_stricter = row->kind == SECONDS_AT_LEAST ? seconds > *into
                                                    : seconds < *into;

    if (seconds > SECONDS_MAX) {
        seconds = SECONDS_MAX;
    }
    if (*into == ETG_CC_ABSENT || is_stricter) {
        *into = seconds;
    }
}

/* Adds the names in `list`, in lower case. 0, with nothing added, if it
 * holds none, too many or something that is no name: the directive is
 * unqualified then. */
static int add_names(etg_cache_control *cc, const directive *row,
                     etg_bytes list, apr_pool_t *p)
{
    const char **into = (const char **)((char *)cc + row->offset);
    const char *before = *into != NULL ? *into : "";
    apr_size_t length = etg_bytes_of(before).length;
    int found = 0;
    etg_bytes member;
    char *names;
    char *at;

    if (length + list.length > NAMES_BYTES_MAX) {
        return 0;
    }
    names = apr_palloc(p, length + list.length + 2);
    at = apr_cpystrn(names, before, length + 1);
    while (etg_list_next(&list, &member)) {
        apr_size_t i;

        if (!etg_is_token(member)) {
            return 0;
        }
        if (at != names) {
            *at++ = ',';
        }
        for (i = 0; i < member.length; i++) {
            *at++ = etg_lower(member.data[i]);
        }
        found = 1;
    }
    *at = '\0';
    if (found) {
        *into = names;
    }
    return found;
}
