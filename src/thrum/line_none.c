/* SPDX-License-Identifier: BSL-1.0 */
/* No line editor: see line.h. */
#include "line.h"

const struct line_reader *const line_editor = NULL;
