/* SPDX-License-Identifier: Apache-2.0 */
/*
 * json_document.c: reads JSON by jansson, and follows pointers through it.
 *
 * jansson reads the text as json_numbers.c has marked it: every string and
 * every member's name begins with a mark, and numbers are strings too. So a
 * name of a pointer is looked up with the mark in front of it.
 *
 * A walk goes down recursively, one call per "*" of the pointer and what is
 * left of it: never deeper than the text is nested.
 */
#include "lib/json_document.h"

#include <apr_strings.h>
#include <apr_tables.h>
#include <jansson.h>
#include <string.h>

#include "lib/json_numbers.h"
#include "lib/json_pointer.h"

#define INDEX_TEXT_BYTES 24

struct etg_json_document {
    json_t *whole;
    apr_pool_t *pool;
};

/* One part of a pointer. */
typedef struct pointer_step {
    int is_each;
    char *name;         /* with its mark */
    int is_index;
    apr_size_t index;
} pointer_step;

typedef struct walk {
    const pointer_step *end;
    etg_json_visitor *visitor;
    void *baton;
} walk;

static apr_status_t release(void *whole);
static const pointer_step *read_steps(const char *pointer,
                                      etg_json_stars stars, apr_pool_t *p,
                                      const pointer_step **end);
static void read_step(const char *token, apr_size_t length,
                      etg_json_stars stars, apr_pool_t *p,
                      pointer_step *step);
static char *unescaped(const char *token, apr_size_t length, apr_pool_t *p);
static int go_on(const walk *w, const pointer_step *step,
                 const etg_json_place *place, json_t *value);
static json_t *inside(json_t *value, const pointer_step *step);
static int go_to_each(const walk *w, const pointer_step *step,
                      const etg_json_place *outer, json_t *value);
static int visit(const walk *w, const etg_json_place *place, json_t *value);
static etg_json_value describe(json_t *value);
static apr_size_t name_length(etg_bytes name);
static char *name_write(etg_bytes name, char *end);
static apr_size_t index_write(apr_size_t index, char *text);

apr_status_t etg_json_document_read(etg_bytes text, apr_pool_t *p,
                                    const etg_json_document **document)
{
    etg_json_document *made;
    etg_bytes marked;
    apr_pool_t *scratch;
    json_t *whole = NULL;

    if (text.length > ETG_JSON_BYTES_MAX) {
        return APR_ENOSPC;
    }
    /* jansson passes over one that ends a number or a word. */
    if (text.length > 0 && memchr(text.data, '\0', text.length) != NULL) {
        return APR_EINVAL;
    }
    apr_pool_create(&scratch, p);
    marked = etg_json_numbers_mark(text, scratch);
    if (marked.data != NULL) {
        whole = json_loadb((const char *)marked.data, marked.length,
                           JSON_DECODE_ANY, NULL);
    }
    apr_pool_destroy(scratch);
    if (whole == NULL) {
        return APR_EINVAL;
    }
    apr_pool_cleanup_register(p, whole, release, apr_pool_cleanup_null);
    made = apr_palloc(p, sizeof(*made));
    made->whole = whole;
    made->pool = p;
    *document = made;
    return APR_SUCCESS;
}

int etg_json_document_visit(const etg_json_document *document,
                            const char *pointer, etg_json_stars stars,
                            etg_json_visitor *visitor, void *baton)
{
    walk w = { NULL, visitor, baton };
    const pointer_step *first = read_steps(pointer, stars, document->pool,
                                           &w.end);

    return go_on(&w, first, NULL, document->whole);
}

apr_size_t etg_json_place_length(const etg_json_place *place)
{
    char digits[INDEX_TEXT_BYTES];
    apr_size_t length = 0;

    for (; place != NULL; place = place->outer) {
        length += place->name.data != NULL ? name_length(place->name)
                                           : index_write(place->index, digits);
        length += place->outer != NULL;
    }
    return length;
}

/* From its end, as that is where the inner ones are. */
void etg_json_place_write(const etg_json_place *place, char *text)
{
    char *end = text + etg_json_place_length(place);

    for (; place != NULL; place = place->outer) {
        if (place->name.data != NULL) {
            end = name_write(place->name, end);
        }
        else {
            char digits[INDEX_TEXT_BYTES];
            apr_size_t length = index_write(place->index, digits);

            end -= length;
            memcpy(end, digits, length);
        }
        if (place->outer != NULL) {
            *--end = '/';
        }
    }
}

static apr_status_t release(void *whole)
{
    json_decref(whole);
    return APR_SUCCESS;
}

static const pointer_step *read_steps(const char *pointer,
                                      etg_json_stars stars, apr_pool_t *p,
                                      const pointer_step **end)
{
    apr_array_header_t *steps = apr_array_make(p, 8, sizeof(pointer_step));

    while (*pointer == '/') {
        apr_size_t length = strcspn(++pointer, "/");

        read_step(pointer, length, stars, p, apr_array_push(steps));
        pointer += length;
    }
    *end = (const pointer_step *)steps->elts + steps->nelts;
    return (const pointer_step *)steps->elts;
}

static void read_step(const char *token, apr_size_t length,
                      etg_json_stars stars, apr_pool_t *p,
                      pointer_step *step)
{
    step->is_each = stars == ETG_JSON_STAR_IS_EACH && length == 1
                    && *token == '*';
    step->name = unescaped(token, length, p);
    step->is_index = etg_json_pointer_index(token, length, &step->index);
}

/* With the mark in front. "~01" is "~1", so in one pass. */
static char *unescaped(const char *token, apr_size_t length, apr_pool_t *p)
{
    char *name = apr_palloc(p, length + 2);
    char *out = name;

    *out++ = ETG_JSON_MARK_STRING;
    for (apr_size_t i = 0; i < length; i++) {
        if (token[i] == '~' && i + 1 < length) {
            i++;
            *out++ = token[i] == '1' ? '/' : '~';
        }
        else {
            *out++ = token[i];
        }
    }
    *out = '\0';
    return name;
}

static int go_on(const walk *w, const pointer_step *step,
                 const etg_json_place *place, json_t *value)
{
    while (value != NULL && step < w->end) {
        if (step->is_each) {
            return go_to_each(w, step, place, value);
        }
        value = inside(value, step);
        step++;
    }
    return value == NULL || visit(w, place, value);
}

static json_t *inside(json_t *value, const pointer_step *step)
{
    if (json_is_array(value)) {
        return step->is_index ? json_array_get(value, step->index) : NULL;
    }
    return json_object_get(value, step->name);
}

static int go_to_each(const walk *w, const pointer_step *step,
                      const etg_json_place *outer, json_t *value)
{
    etg_json_place place = { outer, { NULL, 0 }, 0 };
    const char *name;
    json_t *member;

    for (; place.index < json_array_size(value); place.index++) {
        if (!go_on(w, step + 1, &place, json_array_get(value, place.index))) {
            return 0;
        }
    }
    json_object_foreach(value, name, member) {
        place.name.data = (const unsigned char *)name + 1;
        place.name.length = strlen(name + 1);
        if (!go_on(w, step + 1, &place, member)) {
            return 0;
        }
    }
    return 1;
}

static int visit(const walk *w, const etg_json_place *place, json_t *value)
{
    etg_json_value described = describe(value);

    return w->visitor(w->baton, place, &described);
}

static etg_json_value describe(json_t *value)
{
    etg_json_value described = { ETG_JSON_CONTAINER, { NULL, 0 } };
    const char *text = NULL;

    if (json_is_string(value)) {
        text = json_string_value(value);
        described.kind = *text == ETG_JSON_MARK_NUMBER ? ETG_JSON_NUMBER
                                                       : ETG_JSON_STRING;
        text++;
    }
    else if (json_is_boolean(value)) {
        text = json_is_true(value) ? "true" : "false";
        described.kind = ETG_JSON_BOOLEAN;
    }
    else if (json_is_null(value)) {
        text = "null";
        described.kind = ETG_JSON_NULL;
    }
    if (text != NULL) {
        described.text.data = (const unsigned char *)text;
        described.text.length = strlen(text);
    }
    return described;
}

static apr_size_t name_length(etg_bytes name)
{
    apr_size_t length = name.length;

    for (apr_size_t i = 0; i < name.length; i++) {
        length += name.data[i] == '~' || name.data[i] == '/';
    }
    return length;
}

/* Writes it so that it ends at `end`; returns where it begins. */
static char *name_write(etg_bytes name, char *end)
{
    for (apr_size_t i = name.length; i-- > 0;) {
        char byte = (char)name.data[i];

        if (byte == '~' || byte == '/') {
            *--end = byte == '~' ? '0' : '1';
            byte = '~';
        }
        *--end = byte;
    }
    return end;
}

static apr_size_t index_write(apr_size_t index, char *text)
{
    return (apr_size_t)apr_snprintf(text, INDEX_TEXT_BYTES,
                                    "%" APR_SIZE_T_FMT, index);
}
