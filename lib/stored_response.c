/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/stored_response.h"
