/* SPDX-License-Identifier: Apache-2.0 */
/*
 * section_path.h: what path:N stands for in the section that a directive is
 * written in.
 *
 * In a <LocationMatch> it is what group N of the pattern matched. In a plain
 * <Location "/api/dashboard"> it is the N-th segment of the path behind the
 * section's own: of /api/dashboard/42/page path:1 is 42, path:2 is page.
 */
#ifndef ETG_GLUE_SECTION_PATH_H
#define ETG_GLUE_SECTION_PATH_H

#include <httpd.h>
#include <http_config.h>

/* In pconf. Both NULL: no param asks for it. */
typedef struct etg_section_path {
    ap_regex_t *pattern;
    const char *prefix;           /* without a slash at its end */
} etg_section_path;

/* Reads the section that `cmd` is in, if one of the params (etg_from_param
 * rows, or NULL) is path:N. NULL, or what is wrong with it there. */
const char *etg_section_path_read(cmd_parms *cmd,
                                  const apr_array_header_t *params,
                                  etg_section_path *section);

/* What path:0, path:1... stand for in a request for `path` (r->uri: decoded),
 * in p: const char * rows; NULL: it has none. Leaves *values where no param
 * asks. NULL, or why the path is none of this section's: the end of a sentence
 * about the request. */
const char *etg_section_path_values(const etg_section_path *section,
                                    const char *path, apr_pool_t *p,
                                    const apr_array_header_t **values);

#endif
