/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/entity_tag.h"
