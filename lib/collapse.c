/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/collapse.h"
