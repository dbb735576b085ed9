/* SPDX-License-Identifier: BSL-1.0 */
/* Socket options as rows: a name, what the system calls it for v4 and v6, and the value's shape. */
#ifndef NET_OPTION_H
#define NET_OPTION_H

#include <stdbool.h>
#include <stddef.h>

#include <thrum/address.h>
#include <thrum/visibility.h>

THRUM_BEGIN_DECLS

enum option_shape {
    OPTION_BOOLEAN,
    OPTION_INTEGER,  /* an int, minimum to maximum */
    OPTION_UNSIGNED, /* an unsigned int, any */
    OPTION_CHOICE,   /* one of `choices`, by its number there */
    OPTION_STRING,   /* at most `maximum` bytes */
    OPTION_SECONDS,  /* minimum to maximum milliseconds, seconds to the user */
    OPTION_LINGER,   /* struct linger: whether, and for how many seconds, up to maximum */
    OPTION_ERROR,    /* SO_ERROR: an errno, or nothing */
    OPTION_GROUP,    /* a multicast group and an optional interface */
    OPTION_SOURCE,   /* the same, and between them the only sender that is heard */
    OPTION_INTERFACE /* an interface */
};

enum option_access { OPTION_GET = 1, OPTION_SET = 2, OPTION_GET_SET = 3 };

struct option_choice {
    const char *name;
    int value;
};

struct option_row {
    const char *name;
    enum option_shape shape;
    enum option_access access;
    unsigned traits; /* the socket classes it serves: enum option_trait, all of them must match */
    int level_v4, name_v4;
    int level_v6, name_v6; /* level -1: this family has none */
    int minimum, maximum;
    const struct option_choice *choices; /* ended by a NULL name */
};

/* Traits of socket classes; a class has several. No two rows of one name serve the same class. */
enum option_trait {
    TRAIT_DATAGRAM = 1,
    TRAIT_STREAM = 2,
    TRAIT_SEQPACKET = 4,
    TRAIT_ACCEPTOR = 8,
    TRAIT_SOCKET = 16, /* not an acceptor */
    TRAIT_IP = 32,
    TRAIT_UNIX = 64
};

/* All rows, ended by a NULL name; the order is the man page's. */
const struct option_row *option_rows(void);

/* The row of that name that serves a class with these traits, or NULL. */
const struct option_row *option_find(const char *name, size_t length, unsigned traits);

enum option_interface_by { INTERFACE_ANY, INTERFACE_BY_ADDRESS, INTERFACE_BY_INDEX };

/* A network interface as a multicast option takes it. */
struct option_interface {
    enum option_interface_by by;
    struct thrum_address address;
    unsigned index;
};

/* Errors: ENODEV for a name no interface has. */
int option_interface_by_name(const char *name, size_t length, struct option_interface *interface);

/* The bytes setsockopt(2) wants: struct ip_mreqn or ipv6_mreq for a group (a v6 group's own scope
 * id serves when no interface is given), struct group_source_req for a group and a source, struct
 * ip_mreqn or an index for multicast_interface, by the socket's family. An address names the
 * interface that has it; 0.0.0.0 and :: name none. `value` holds OPTION_VALUE_SIZE bytes. Errors:
 * EINVAL (not a multicast group), EAFNOSUPPORT (a group, a source or an interface's address of
 * another family), ENODEV (no interface has that v6 address; an index above INT_MAX). Whether a v4
 * address is an interface's, setsockopt(2) says, but with a source: ENODEV. */
enum { OPTION_VALUE_SIZE = 264 };
int option_encode_group(int family, const struct thrum_address *group,
                        const struct option_interface *interface, void *value, size_t *size);
int option_encode_source(int family, const struct thrum_address *group,
                         const struct thrum_address *source,
                         const struct option_interface *interface, void *value, size_t *size);
int option_encode_interface(int family, const struct option_interface *interface, void *value,
                            size_t *size);

THRUM_END_DECLS

#endif
