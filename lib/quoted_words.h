/* SPDX-License-Identifier: Apache-2.0 */
/* quoted_words.h: the words of a directive's line, quoted as httpd's are. */
#ifndef ETG_LIB_QUOTED_WORDS_H
#define ETG_LIB_QUOTED_WORDS_H

#include <apr_pools.h>
#include <apr_tables.h>

/* Reads all words of the line: "..." or '...', where a backslash stands
 * before a quote of the same kind or another backslash; but a quote that is
 * not closed is refused, and so is one that is closed within a word. *words
 * are const char * rows in `p`. NULL, or a sentence for the admin. */
const char *etg_quoted_words_read(const char *line, apr_pool_t *p,
                                  const apr_array_header_t **words);

/* A word of them; NULL: there are fewer. */
const char *etg_quoted_word_at(const apr_array_header_t *words, int place);

#endif
