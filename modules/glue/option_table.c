/* SPDX-License-Identifier: Apache-2.0 */
/*
 * option_table.c: directives driven by their row in the command table.
 *
 * A parsed value is first a `parsed` union, checked there, and only then
 * copied into the structure, so a refused directive changes nothing. Which
 * bit a row has is its place in the table: httpd hands the setter the very
 * row (cmd->cmd). Runs while httpd reads its configuration; only
 * etg_option_merge runs per request, on any thread, and only reads its two
 * inputs.
 */
#include "modules/glue/option_table.h"

#include <string.h>

#include <apr_strings.h>
#include <httpd.h>
#include <http_core.h>

typedef union parsed {
    apr_int64_t number;
    int flag;
    double fraction;
    const char *text;
    apr_array_header_t *strings;
    ap_expr_info_t *expr;
} parsed;

static const char *const flag_names[] = { "Off", "On", NULL };

static int lives_on(const command_rec *row, etg_option_side side);
static int row_count(const command_rec *table);
static void fill_default(apr_pool_t *p, void *config, const etg_option *option);
static const char *find_config(cmd_parms *cmd, void *directory,
                               etg_options **config);
static const char *set_option(cmd_parms *cmd, etg_options *config,
                              const etg_option *option, int is_written,
                              const char *text);
static int is_word(const etg_option *option, const char *text);
static void take_word(const etg_option *option, parsed *value);
static const char *parse_value(cmd_parms *cmd, const etg_options *config,
                               const etg_option *option, const char *text,
                               parsed *value);
static const char *describe_range(apr_pool_t *p, const etg_option *option);
static void store_value(cmd_parms *cmd, void *config, const etg_option *option,
                        int is_written, const parsed *value);
static void copy_value(void *to, const void *from, const etg_option *option);

void *etg_option_create(apr_pool_t *p, apr_size_t bytes, etg_option_side side,
                        const command_rec *table, module *owner)
{
    etg_options *options = apr_pcalloc(p, bytes);

    ap_assert(row_count(table) <= ETG_OPTION_ROWS);
    options->table = table;
    options->owner = owner;
    options->bytes = bytes;
    options->side = side;
    for (const command_rec *row = table; row->name != NULL; ++row) {
        if (lives_on(row, side)) {
            fill_default(p, options, row->cmd_data);
        }
    }
    return options;
}

void *etg_option_merge(apr_pool_t *p, void *base, void *added)
{
    const etg_options *from = added;
    etg_options *merged = apr_pmemdup(p, base, ((etg_options *)base)->bytes);
    apr_uint64_t left = from->written;

    for (int place = 0; left != 0; ++place, left >>= 1) {
        if (left & 1) {
            copy_value(merged, from, from->table[place].cmd_data);
        }
    }
    merged->written |= from->written;
    return merged;
}

const char *etg_option_set(cmd_parms *cmd, void *directory, const char *text)
{
    return etg_option_set2(cmd, directory, text, NULL);
}

const char *etg_option_set2(cmd_parms *cmd, void *directory,
                            const char *first, const char *second)
{
    const etg_option *option = cmd->cmd->cmd_data;
    etg_options *config = NULL;
    const char *error = find_config(cmd, directory, &config);
    apr_uint64_t bit;

    if (error != NULL) {
        return error;
    }
    bit = APR_UINT64_C(1) << (cmd->cmd - config->table);
    error = set_option(cmd, config, option, (config->written & bit) != 0,
                       first);
    if (error == NULL && option->then != NULL) {
        if (second == NULL) {
            fill_default(cmd->pool, config, option->then);
        }
        else {
            error = set_option(cmd, config, option->then, 0, second);
        }
    }
    if (error == NULL) {
        config->written |= bit;
    }
    return error;
}

int etg_option_is_written(const void *config, apr_size_t offset)
{
    const etg_options *options = config;
    int rows = row_count(options->table);

    for (int place = 0; place < rows; ++place) {
        const command_rec *row = options->table + place;
        const etg_option *option = row->cmd_data;
        if (lives_on(row, options->side) && option->offset == offset) {
            return (int)((options->written >> place) & 1);
        }
    }
    return 0;
}

static int lives_on(const command_rec *row, etg_option_side side)
{
    return (row->req_override == RSRC_CONF) == (side == ETG_OPTION_SERVER);
}

static int row_count(const command_rec *table)
{
    int rows = 0;

    while (table[rows].name != NULL) {
        ++rows;
    }
    return rows;
}

static void fill_default(apr_pool_t *p, void *config, const etg_option *option)
{
    char *member = (char *)config + option->offset;

    switch (option->kind) {
    case ETG_KIND_DURATION:
    case ETG_KIND_SIZE:
        *(apr_int64_t *)member = option->def;
        break;
    case ETG_KIND_INTEGER:
    case ETG_KIND_FLAG:
    case ETG_KIND_ENUM:
        *(int *)member = (int)option->def;
        break;
    case ETG_KIND_FRACTION:
        *(double *)member = option->def_fraction;
        break;
    case ETG_KIND_TEXT:
        *(const char **)member = option->def_text;
        break;
    case ETG_KIND_STRINGS: {
        apr_array_header_t *words = apr_array_make(p, 4, sizeof(char *));
        const char *rest = option->def_text ? option->def_text : "";
        while (*rest != '\0') {
            APR_ARRAY_PUSH(words, const char *) = ap_getword_white(p, &rest);
        }
        *(apr_array_header_t **)member = words;
        break;
    }
    case ETG_KIND_EXPR:
        *(ap_expr_info_t **)member = NULL;
        break;
    }
    if (option->then != NULL) {
        fill_default(p, config, option->then);
    }
}

/* NOT_IN_HTACCESS matters although no row has an OR_ override: otherwise
 * AllowOverrideList could let a directive in. */
static const char *find_config(cmd_parms *cmd, void *directory,
                               etg_options **config)
{
    const char *error = ap_check_cmd_context(cmd,
                                             NOT_IN_HTACCESS | NOT_IN_LIMIT);
    etg_options *found = directory;

    if (error != NULL) {
        return error;
    }
    if (lives_on(cmd->cmd, ETG_OPTION_SERVER)) {
        found = ap_get_module_config(cmd->server->module_config,
                                     found->owner);
    }
    *config = found;
    return NULL;
}

static const char *set_option(cmd_parms *cmd, etg_options *config,
                              const etg_option *option, int is_written,
                              const char *text)
{
    parsed value;
    const char *problem;

    memset(&value, 0, sizeof(value));
    if (is_word(option, text)) {
        take_word(option, &value);
        problem = NULL;
    }
    else {
        problem = parse_value(cmd, config, option, text, &value);
        if (problem == NULL && option->check != NULL) {
            problem = option->check(cmd, &value);
        }
    }
    if (problem != NULL) {
        return apr_psprintf(cmd->pool, "%s: \"%s\" %s", cmd->cmd->name, text,
                            problem);
    }
    store_value(cmd, config, option, is_written, &value);
    return NULL;
}

static int is_word(const etg_option *option, const char *text)
{
    if (option->kind == ETG_KIND_STRINGS || option->kind == ETG_KIND_EXPR
        || option->kind == ETG_KIND_TEXT) {
        return strcasecmp(option->word ? option->word : "none", text) == 0;
    }
    return option->word != NULL && strcasecmp(option->word, text) == 0;
}

static int is_in_range(const etg_option *option, apr_int64_t number)
{
    return number >= option->min
           && (option->max == 0 || number <= option->max);
}

/* Numbers and names: 1 if `text` is one and within the row's range. */
static int parse_number(const etg_option *option, const char *text,
                        parsed *value)
{
    etg_bytes bytes = { (const unsigned char *)text, strlen(text) };
    apr_int64_t number = 0;

    switch (option->kind) {
    case ETG_KIND_DURATION:
        return etg_duration_parse(bytes, &value->number)
               && is_in_range(option, value->number);
    case ETG_KIND_SIZE:
        return etg_size_parse(bytes, &value->number)
               && is_in_range(option, value->number);
    case ETG_KIND_INTEGER:
        if (!etg_integer_parse(bytes, &number) || !is_in_range(option, number)
            || number != (int)number) {
            return 0;
        }
        value->flag = (int)number;
        return 1;
    case ETG_KIND_FLAG:
        return etg_word_parse(bytes, flag_names, &value->flag);
    case ETG_KIND_ENUM:
        return etg_word_parse(bytes, option->names, &value->flag);
    case ETG_KIND_FRACTION:
        return etg_fraction_parse(bytes, &value->fraction);
    default:
        return 0;
    }
}

static void take_word(const etg_option *option, parsed *value)
{
    switch (option->kind) {
    case ETG_KIND_DURATION:
    case ETG_KIND_SIZE:
        value->number = option->def;
        break;
    case ETG_KIND_INTEGER:
    case ETG_KIND_FLAG:
    case ETG_KIND_ENUM:
        value->flag = (int)option->def;
        break;
    case ETG_KIND_FRACTION:
        value->fraction = option->def_fraction;
        break;
    default:
        break;    /* a pointer that stays NULL */
    }
}

/* NULL, or how the sentence `ETagX: "text" ...` ends. */
static const char *parse_value(cmd_parms *cmd, const etg_options *config,
                               const etg_option *option, const char *text,
                               parsed *value)
{
    const char *error = NULL;

    switch (option->kind) {
    case ETG_KIND_TEXT:
    case ETG_KIND_STRINGS:
        value->text = text;
        return NULL;
    case ETG_KIND_EXPR:
        value->expr = ap_expr_parse_cmd_mi(cmd, text, 0, &error, NULL,
                                           config->owner->module_index);
        return error == NULL ? NULL
               : apr_pstrcat(cmd->pool, "is not an expression: ", error, NULL);
    default:
        return parse_number(option, text, value)
               ? NULL : describe_range(cmd->pool, option);
    }
}

static const char *describe_names(apr_pool_t *p, const char *const *names)
{
    const char *text = names[0];

    for (int i = 1; names[i] != NULL; ++i) {
        text = apr_pstrcat(p, text, names[i + 1] ? ", " : " or ", names[i],
                           NULL);
    }
    return apr_pstrcat(p, "is not ", text, NULL);
}

static const char *describe_bound(apr_pool_t *p, etg_option_kind kind,
                                  apr_int64_t bound)
{
    char buffer[ETG_VALUE_TEXT_BYTES];

    switch (kind) {
    case ETG_KIND_DURATION:
        return apr_pstrdup(p, etg_duration_write(buffer, bound));
    case ETG_KIND_SIZE:
        return apr_pstrdup(p, etg_size_write(buffer, bound));
    default:
        return apr_psprintf(p, "%" APR_INT64_T_FMT, bound);
    }
}

static const char *describe_range(apr_pool_t *p, const etg_option *option)
{
    const char *noun = option->kind == ETG_KIND_DURATION
                           ? "a duration (ms s m h d w y)"
                     : option->kind == ETG_KIND_SIZE ? "a size (K M G)"
                     : "a number";
    const char *text;

    if (option->kind == ETG_KIND_FLAG) {
        return describe_names(p, flag_names);
    }
    if (option->kind == ETG_KIND_ENUM) {
        return describe_names(p, option->names);
    }
    if (option->kind == ETG_KIND_FRACTION) {
        text = "is not a fraction between 0 and 1";
    }
    else if (option->max == 0) {
        text = apr_pstrcat(p, "is not ", noun, " of at least ",
                           describe_bound(p, option->kind, option->min), NULL);
    }
    else {
        text = apr_pstrcat(p, "is not ", noun, " between ",
                           describe_bound(p, option->kind, option->min),
                           " and ",
                           describe_bound(p, option->kind, option->max), NULL);
    }
    return option->word ? apr_pstrcat(p, text, ", or ", option->word, NULL)
                        : text;
}

/* Lists grow in place; the first word in a section starts a new one, which
 * lets go of the default. */
static void store_value(cmd_parms *cmd, void *config, const etg_option *option,
                        int is_written, const parsed *value)
{
    apr_array_header_t **list;

    if (option->kind != ETG_KIND_STRINGS) {
        etg_option at_zero = *option;
        char *member = (char *)config + option->offset;
        at_zero.offset = 0;
        at_zero.then = NULL;
        copy_value(member, value, &at_zero);
        return;
    }
    list = (apr_array_header_t **)((char *)config + option->offset);
    if (!is_written || value->text == NULL) {
        *list = apr_array_make(cmd->pool, 4, sizeof(char *));
    }
    if (value->text != NULL) {
        APR_ARRAY_PUSH(*list, const char *) = value->text;
    }
}

static void copy_value(void *to, const void *from, const etg_option *option)
{
    static const apr_size_t value_bytes[] = {
        [ETG_KIND_DURATION] = sizeof(apr_int64_t),
        [ETG_KIND_SIZE] = sizeof(apr_int64_t),
        [ETG_KIND_INTEGER] = sizeof(int),
        [ETG_KIND_FLAG] = sizeof(int),
        [ETG_KIND_ENUM] = sizeof(int),
        [ETG_KIND_FRACTION] = sizeof(double),
        [ETG_KIND_TEXT] = sizeof(const char *),
        [ETG_KIND_STRINGS] = sizeof(apr_array_header_t *),
        [ETG_KIND_EXPR] = sizeof(ap_expr_info_t *)
    };

    memcpy((char *)to + option->offset, (const char *)from + option->offset,
           value_bytes[option->kind]);
    if (option->then != NULL) {
        copy_value(to, from, option->then);
    }
}
