/* SPDX-License-Identifier: Apache-2.0 */
/* etg_log.c: formats a message into a bounded buffer for the host's writer. */
#include "etg_log.h"

#include <stdarg.h>
#include <stdio.h>

#define MESSAGE_BYTES 1024

void etg_log_write(const etg_log *log, etg_log_level level, apr_status_t rv,
                   const char *format, ...)
{
    char message[MESSAGE_BYTES];
    va_list arguments;

    if (log == NULL || log->write == NULL) {
        return;
    }
    va_start(arguments, format);
    vsnprintf(message, sizeof(message), format, arguments);
    va_end(arguments);
    log->write(log->baton, level, rv, message);
}
