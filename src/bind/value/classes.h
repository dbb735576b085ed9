/* SPDX-License-Identifier: BSL-1.0 */
/* The modules and classes of this room, by the names of their man pages. */
#ifndef BIND_VALUE_CLASSES_H
#define BIND_VALUE_CLASSES_H

#include "bind/value/class.h"

#define VALUE_CLASSES(ROW)                                               \
    ROW(thrum_class, "thrum")                                            \
    ROW(error_class, "error")                                            \
    ROW(category_class, "error_category")                                \
    ROW(generic_error_class, "generic_error")                            \
    ROW(byte_span_class, "byte_span")                                    \
    ROW(file_descriptor_class, "file_descriptor")                        \
    ROW(descriptor_list_class, "file_descriptor.list") /* never shown */ \
    ROW(address_class, "ip.address")                                     \
    ROW(network_class, "ip.network")

VALUE_CLASSES(CLASS_DECLARATION)

#endif
