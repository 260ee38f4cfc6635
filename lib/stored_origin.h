/* SPDX-License-Identifier: Apache-2.0 */
/* stored_origin.h: the part of a response record that says which data the
 * response is of, and which validators the backend itself gave it. Private to
 * stored_response.c. */
#ifndef ETG_LIB_STORED_ORIGIN_H
#define ETG_LIB_STORED_ORIGIN_H

#include "lib/record.h"
#include "lib/stored_response.h"

/* Is there anything to say that the rest of the record does not? */
int etg_stored_origin_is_said(const etg_stored_response *response);

/* Nothing is put if there is not. */
void etg_stored_origin_put(etg_record_writer *writer,
                           const etg_stored_response *response);

/* Into *response, whose requested_at was read. Refuses the record if it says
 * nothing, or of a validator that ours did not take the place of. */
void etg_stored_origin_read(etg_record_reader *reader,
                            etg_stored_response *response);

#endif
