/* SPDX-License-Identifier: Apache-2.0 */
/*
 * composite_config.h: the directives of mod_etag_composite as two structures,
 * and the plan of a composite: what the lines of one section come to.
 */
#ifndef ETG_COMPOSITE_CONFIG_H
#define ETG_COMPOSITE_CONFIG_H

#include <http_config.h>

#include "lib/composite_part.h"
#include "lib/composite_template.h"
#include "modules/glue/option_table.h"
#include "modules/glue/section_path.h"

/* One line of ETagCompositePart. In pconf. */
typedef struct etg_composite_line {
    etg_composite_part part;
    etg_section_path path;        /* what path:N counts */
} etg_composite_line;

/* The parts of one section and what they are put into. A section that has
 * parts of its own has a plan of its own. In pconf; ready after
 * check_config. */
typedef struct etg_composite_plan {
    const server_rec *server;     /* which it is written in */
    const char *place;            /* file:line, for messages */
    apr_array_header_t *lines;    /* etg_composite_line rows */
    etg_bytes template_text;      /* data NULL: the default */
    const char *template_file;    /* for messages */
    etg_composite_template layout;
    unsigned char digest[32];     /* of layout and options: with another one,
                                   * equal parts make another composite */
} etg_composite_plan;

struct etg_composite_runtime;

/* Server and virtual host. */
typedef struct etg_composite_server_conf {
    etg_options options;
    const char *threads;          /* the main server's counts, */
    const char *secret;           /* and its secret; NULL: made at a start */
    apr_int64_t esi_memory;       /* bytes; 0: none */

    struct etg_composite_runtime *runtime;  /* check_config */
} etg_composite_server_conf;

typedef enum etg_composite_esi_mode {
    ETG_COMPOSITE_ESI_OFF,
    ETG_COMPOSITE_ESI_ON,         /* responses that announce it */
    ETG_COMPOSITE_ESI_ALWAYS      /* those and all HTML */
} etg_composite_esi_mode;

/* Directory, location and so on. Durations in microseconds. */
typedef struct etg_composite_dir_conf {
    etg_options options;
    apr_array_header_t *parts;    /* lines as they were written */
    const char *template_file;
    apr_int64_t deadline;
    apr_int64_t max_bytes;
    apr_array_header_t *forward;  /* names of request fields */
    int esi;                      /* etg_composite_esi_mode */
    apr_array_header_t *esi_allow;  /* prefixes, const char * rows */

    etg_composite_plan *plan;     /* NULL: no parts, no template */
} etg_composite_dir_conf;

extern const command_rec etg_composite_commands[];

void *etg_composite_create_dir(apr_pool_t *p, char *where);
void *etg_composite_merge_dir(apr_pool_t *p, void *base, void *added);
void *etg_composite_create_server(apr_pool_t *p, server_rec *s);
/* Is ESI on anywhere in this reading of the configuration? */
int etg_composite_esi_is_written(apr_pool_t *pconf);

/* ---- composite_plan.c ---- */

/* The plan that the directive being read adds to. */
etg_composite_plan *etg_composite_plan_of(cmd_parms *cmd,
                                          etg_composite_dir_conf *conf);
/* All plans of this reading of the configuration: etg_composite_plan * rows.
 */
const apr_array_header_t *etg_composite_all_plans(apr_pool_t *pconf);
/* Adds a line. NULL, or what is wrong. */
const char *etg_composite_plan_add(cmd_parms *cmd, etg_composite_plan *plan,
                                   const char *text);
/* Reads the template's file. NULL, or what is wrong. */
const char *etg_composite_plan_read(cmd_parms *cmd, etg_composite_plan *plan,
                                    const char *file);
/* All lines are there. NULL, or what is wrong, in p. */
const char *etg_composite_plan_finish(etg_composite_plan *plan,
                                      apr_pool_t *p);

#endif
