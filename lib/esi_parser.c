/* SPDX-License-Identifier: Apache-2.0 */
/*
 * esi_parser.c: a machine that reads ESI byte by byte.
 *
 * Each byte moves it from one state to another, whatever portion it came in;
 * so a cut makes no difference. Bytes are pending until it is known what they
 * are: first those held of earlier portions, then those of this one behind
 * `from`. They come out as text, or are dropped with what they were. Where a
 * "<" is not what it seemed they are text without a second look, as a tag has
 * no other "<" in it; so no byte is read twice.
 *
 * Inside of <!--esi dashes are counted beside all this, as "-->" ends it in
 * any state.
 */
#include "lib/esi_parser.h"

#include <string.h>

#include "lib/esi_tag.h"

#define HELD_BYTES 512          /* at first */
#define REMOVE_END "</esi:remove"

typedef enum esi_state {
    IN_TEXT,
    IN_OPENING,                 /* "<" and more of one of the openings */
    BEHIND_COMMENT_OPENING,
    IN_REMOVED,
    IN_NAME,                    /* of a tag; all that follow are inside one */
    IN_GAP,
    IN_ATTRIBUTE,
    BEHIND_ATTRIBUTE,
    BEFORE_VALUE,
    IN_VALUE,
    BEHIND_VALUE,
    BEHIND_SLASH,
    IS_WHOLE,                   /* of a tag: no states, but outcomes */
    IS_BROKEN
} esi_state;

typedef struct esi_opening {
    const char *text;
    esi_state next;
} esi_opening;

static const esi_opening openings[] = {     /* known by their second byte */
    { "<esi:", IN_NAME },
    { "</esi:", IN_NAME },
    { "<!--esi", BEHIND_COMMENT_OPENING }
};
#define OPENING_COUNT (sizeof(openings) / sizeof(openings[0]))

struct etg_esi_parser {
    etg_esi_take *take;
    void *baton;
    apr_pool_t *pool;
    apr_pool_t *scratch;        /* for an event */
    apr_status_t status;        /* the taker's last */
    unsigned malformed;

    esi_state state;
    const esi_opening *opening;
    unsigned matched;           /* bytes of the opening, or of REMOVE_END */
    unsigned char quote;        /* around the value */
    etg_esi_element unclosed;   /* of the last tag whose "/" lacked */
    int is_in_comment;
    unsigned dashes;            /* in it: the last bytes, up to two */

    unsigned char *held;
    apr_size_t held_length;
    apr_size_t held_size;
    const unsigned char *from;  /* of the portion */
};

static void take_byte(etg_esi_parser *parser, const unsigned char *at);
static void close_comment(etg_esi_parser *parser, const unsigned char *at);
static void begin_markup(etg_esi_parser *parser, const unsigned char *at);
static void be_text(etg_esi_parser *parser, const unsigned char *at);
static void be_malformed(etg_esi_parser *parser, const unsigned char *at);
static void take_opening(etg_esi_parser *parser, const unsigned char *at);
static void open_comment(etg_esi_parser *parser, const unsigned char *at);
static void take_removed(etg_esi_parser *parser, const unsigned char *at);
static void take_tag(etg_esi_parser *parser, const unsigned char *at);
static esi_state next_in_tag(etg_esi_parser *parser, unsigned char byte);
static esi_state next_between(esi_state state, unsigned char byte);
static void end_tag(etg_esi_parser *parser, const unsigned char *end);
static int is_obeyed(etg_esi_parser *parser, const etg_esi_tag *tag,
                     etg_bytes text);
static int give_include(etg_esi_parser *parser, const etg_esi_tag *tag,
                        etg_bytes text);
static apr_size_t pending(const etg_esi_parser *parser,
                          const unsigned char *end);
static etg_bytes join_pending(etg_esi_parser *parser,
                              const unsigned char *end);
static void drop_pending(etg_esi_parser *parser, const unsigned char *end);
static void give_pending(etg_esi_parser *parser, const unsigned char *end,
                         apr_size_t except);
static void give_text(etg_esi_parser *parser, const unsigned char *data,
                      apr_size_t length);
static void give(etg_esi_parser *parser, const etg_esi_event *event);
static void keep_pending(etg_esi_parser *parser, const unsigned char *end);
static void hold(etg_esi_parser *parser, const void *data,
                 apr_size_t length);

etg_esi_parser *etg_esi_parser_make(etg_esi_take *take, void *baton,
                                    apr_pool_t *p)
{
    etg_esi_parser *parser = apr_pcalloc(p, sizeof(*parser));

    parser->take = take;
    parser->baton = baton;
    parser->pool = p;
    apr_pool_create(&parser->scratch, p);
    return parser;
}

apr_status_t etg_esi_parser_feed(etg_esi_parser *parser, etg_bytes portion)
{
    const unsigned char *at = portion.data;
    const unsigned char *end;

    if (portion.length == 0 || parser->status != APR_SUCCESS) {
        return parser->status;
    }
    end = at + portion.length;
    parser->from = at;
    while (at < end && parser->status == APR_SUCCESS) {
        if (parser->state == IN_TEXT && !parser->is_in_comment) {
            at = memchr(at, '<', (apr_size_t)(end - at));
            if (at == NULL) {
                break;
            }
        }
        take_byte(parser, at++);
    }
    if (parser->status == APR_SUCCESS) {
        keep_pending(parser, end);
    }
    return parser->status;
}

apr_status_t etg_esi_parser_end(etg_esi_parser *parser)
{
    parser->malformed += parser->state >= IN_REMOVED;
    parser->malformed += (unsigned)parser->is_in_comment;
    parser->state = IN_TEXT;
    parser->is_in_comment = 0;
    give_pending(parser, parser->from, 0);
    return parser->status;
}

unsigned etg_esi_parser_malformed(const etg_esi_parser *parser)
{
    return parser->malformed;
}

static void take_byte(etg_esi_parser *parser, const unsigned char *at)
{
    if (parser->is_in_comment) {
        if (*at == '>' && parser->dashes == 2) {
            close_comment(parser, at);
            return;
        }
        parser->dashes = *at != '-' ? 0 : parser->dashes > 0 ? 2 : 1;
    }
    switch (parser->state) {
    case IN_TEXT:
        be_text(parser, at);
        break;
    case IN_OPENING:
        take_opening(parser, at);
        break;
    case BEHIND_COMMENT_OPENING:
        open_comment(parser, at);
        break;
    case IN_REMOVED:
        take_removed(parser, at);
        break;
    default:
        take_tag(parser, at);
    }
}

/* The dashes are pending: all that ends markup is another byte. */
static void close_comment(etg_esi_parser *parser, const unsigned char *at)
{
    parser->malformed += parser->state >= IN_REMOVED;
    parser->state = IN_TEXT;
    parser->is_in_comment = 0;
    give_pending(parser, at, 2);
    parser->from = at + 1;
}

static void begin_markup(etg_esi_parser *parser, const unsigned char *at)
{
    give_pending(parser, at, 0);
    parser->state = IN_OPENING;
    parser->matched = 1;
}

/* The byte is one of text, and so is what is pending. */
static void be_text(etg_esi_parser *parser, const unsigned char *at)
{
    parser->state = IN_TEXT;
    if (*at == '<') {
        begin_markup(parser, at);
    }
}

static void be_malformed(etg_esi_parser *parser, const unsigned char *at)
{
    parser->malformed++;
    be_text(parser, at);
}

static void take_opening(etg_esi_parser *parser, const unsigned char *at)
{
    if (parser->matched == 1) {
        parser->opening = openings;
        while (parser->opening < openings + OPENING_COUNT - 1
               && (unsigned char)parser->opening->text[1] != *at) {
            parser->opening++;
        }
    }
    if ((unsigned char)parser->opening->text[parser->matched] != *at) {
        be_text(parser, at);
        return;
    }
    parser->matched++;
    if (parser->opening->text[parser->matched] == '\0') {
        parser->state = parser->opening->next;
    }
}

static void open_comment(etg_esi_parser *parser, const unsigned char *at)
{
    if (!etg_esi_is_space(*at) && *at != '<') {
        be_text(parser, at);
    }
    else if (parser->is_in_comment) {
        be_malformed(parser, at);
    }
    else {
        drop_pending(parser, at);
        parser->is_in_comment = 1;
        parser->dashes = 0;
        be_text(parser, at);
    }
}

static void take_removed(etg_esi_parser *parser, const unsigned char *at)
{
    if (pending(parser, at) >= ETG_ESI_REMOVE_MAX) {
        be_malformed(parser, at);
    }
    else if (parser->matched < strlen(REMOVE_END)) {
        parser->matched = *at == (unsigned char)REMOVE_END[parser->matched]
                          ? parser->matched + 1 : *at == '<';
    }
    else if (*at == '>') {
        drop_pending(parser, at + 1);
        parser->state = IN_TEXT;
    }
    else if (!etg_esi_is_space(*at)) {
        parser->matched = *at == '<';
    }
}

static void take_tag(etg_esi_parser *parser, const unsigned char *at)
{
    esi_state next = pending(parser, at) < ETG_ESI_TAG_MAX
                     ? next_in_tag(parser, *at) : IS_BROKEN;

    if (next == IS_BROKEN) {
        be_malformed(parser, at);
    }
    else if (next == IS_WHOLE) {
        end_tag(parser, at + 1);
    }
    else {
        parser->state = next;
    }
}

static esi_state next_in_tag(etg_esi_parser *parser, unsigned char byte)
{
    switch (parser->state) {
    case IN_ATTRIBUTE:
        return etg_esi_is_name_byte(byte) ? IN_ATTRIBUTE
               : byte == '=' ? BEFORE_VALUE
               : etg_esi_is_space(byte) ? BEHIND_ATTRIBUTE : IS_BROKEN;
    case BEHIND_ATTRIBUTE:
        return etg_esi_is_space(byte) ? BEHIND_ATTRIBUTE
               : byte == '=' ? BEFORE_VALUE : IS_BROKEN;
    case BEFORE_VALUE:
        parser->quote = byte;
        return etg_esi_is_space(byte) ? BEFORE_VALUE
               : byte == '"' || byte == '\'' ? IN_VALUE : IS_BROKEN;
    case IN_VALUE:
        return byte == parser->quote ? BEHIND_VALUE
               : byte == '<' ? IS_BROKEN : IN_VALUE;
    case BEHIND_SLASH:
        return byte == '>' ? IS_WHOLE : IS_BROKEN;
    default:
        return next_between(parser->state, byte);
    }
}

/* In the name, or where an attribute may follow. */
static esi_state next_between(esi_state state, unsigned char byte)
{
    if (byte == '>') {
        return IS_WHOLE;
    }
    if (byte == '/') {
        return BEHIND_SLASH;
    }
    if (etg_esi_is_space(byte)) {
        return IN_GAP;
    }
    if (!etg_esi_is_name_byte(byte) || state == BEHIND_VALUE) {
        return IS_BROKEN;
    }
    return state == IN_GAP ? IN_ATTRIBUTE : IN_NAME;
}

static void end_tag(etg_esi_parser *parser, const unsigned char *end)
{
    etg_bytes text = join_pending(parser, end);
    etg_esi_tag tag = etg_esi_tag_read(text);

    parser->state = IN_TEXT;
    if (!is_obeyed(parser, &tag, text)) {
        parser->malformed++;
    }
    else if (tag.element == ETG_ESI_REMOVE_TAG && !tag.is_empty) {
        parser->state = IN_REMOVED;
        parser->matched = 0;
    }
    else {
        drop_pending(parser, end);
    }
}

/* Is it a tag that does something here? */
static int is_obeyed(etg_esi_parser *parser, const etg_esi_tag *tag,
                     etg_bytes text)
{
    if (tag->is_end) {
        int is_awaited = tag->element != ETG_ESI_UNKNOWN && !tag->is_empty
            && tag->attributes == 0 && tag->element == parser->unclosed;

        if (is_awaited) {
            parser->unclosed = ETG_ESI_UNKNOWN;
        }
        return is_awaited;
    }
    if (tag->element == ETG_ESI_UNKNOWN) {
        return 0;
    }
    if (tag->element == ETG_ESI_INCLUDE_TAG
        && !give_include(parser, tag, text)) {
        return 0;
    }
    if (tag->element != ETG_ESI_REMOVE_TAG && !tag->is_empty) {
        parser->unclosed = tag->element;
    }
    return 1;
}

static int give_include(etg_esi_parser *parser, const etg_esi_tag *tag,
                        etg_bytes text)
{
    etg_esi_event event;
    int is_whole = etg_esi_tag_include(tag, parser->scratch, &event);

    if (is_whole) {
        event.text = text;
        give(parser, &event);
    }
    apr_pool_clear(parser->scratch);
    return is_whole;
}

/* So many bytes, to `end` of the portion. */
static apr_size_t pending(const etg_esi_parser *parser,
                          const unsigned char *end)
{
    return parser->held_length + (apr_size_t)(end - parser->from);
}

/* They stay pending. */
static etg_bytes join_pending(etg_esi_parser *parser,
                              const unsigned char *end)
{
    etg_bytes bytes = { parser->from, (apr_size_t)(end - parser->from) };

    if (parser->held_length > 0) {
        hold(parser, bytes.data, bytes.length);
        parser->from = end;
        bytes.data = parser->held;
        bytes.length = parser->held_length;
    }
    return bytes;
}

static void drop_pending(etg_esi_parser *parser, const unsigned char *end)
{
    parser->held_length = 0;
    parser->from = end;
}

/* As text, all but the last few. */
static void give_pending(etg_esi_parser *parser, const unsigned char *end,
                         apr_size_t except)
{
    apr_size_t fresh = (apr_size_t)(end - parser->from);
    apr_size_t of_fresh = except < fresh ? except : fresh;

    give_text(parser, parser->held,
              parser->held_length - (except - of_fresh));
    give_text(parser, parser->from, fresh - of_fresh);
    drop_pending(parser, end);
}

static void give_text(etg_esi_parser *parser, const unsigned char *data,
                      apr_size_t length)
{
    etg_esi_event event = { .kind = ETG_ESI_TEXT, .text = { data, length } };

    if (length > 0) {
        give(parser, &event);
    }
}

static void give(etg_esi_parser *parser, const etg_esi_event *event)
{
    if (parser->status == APR_SUCCESS) {
        parser->status = parser->take(parser->baton, event);
    }
}

/* At the end of a portion: of text only dashes, which may become "-->". */
static void keep_pending(etg_esi_parser *parser, const unsigned char *end)
{
    if (parser->state == IN_TEXT) {
        apr_size_t dashes = parser->is_in_comment ? parser->dashes : 0;

        give_pending(parser, end, dashes);
        hold(parser, "--", dashes);
    }
    else {
        hold(parser, parser->from, (apr_size_t)(end - parser->from));
    }
    parser->from = NULL;
}

static void hold(etg_esi_parser *parser, const void *data, apr_size_t length)
{
    apr_size_t needed = parser->held_length + length;

    if (needed > parser->held_size) {
        apr_size_t size = parser->held_size > 0 ? parser->held_size * 2
                                                : HELD_BYTES;
        unsigned char *larger;

        while (size < needed) {
            size *= 2;
        }
        larger = apr_palloc(parser->pool, size);
        if (parser->held_length > 0) {
            memcpy(larger, parser->held, parser->held_length);
        }
        parser->held = larger;
        parser->held_size = size;
    }
    if (length > 0) {
        memcpy(parser->held + parser->held_length, data, length);
        parser->held_length = needed;
    }
}
