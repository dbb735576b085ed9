/* SPDX-License-Identifier: BSL-1.0 */
/* Lookups: one question to the system's resolver, and its answer. A lookup shares nothing: one
 * thread may ask, and another read the answer later. */
#ifndef NET_LOOKUP_H
#define NET_LOOKUP_H

#include <netdb.h>
#include <stdbool.h>

#include <thrum/address.h>
#include <thrum/visibility.h>

THRUM_BEGIN_DECLS

struct lookup {
    /* The question. */
    bool is_reverse;
    int flags;                      /* of getnameinfo(3) */
    struct addrinfo hints;          /* of getaddrinfo(3) */
    struct thrum_endpoint endpoint; /* of the reverse */

    /* The question's texts, or those of a reverse answer. */
    bool has_host, has_service;
    char host[NI_MAXHOST];
    char service[NI_MAXSERV];

    struct addrinfo *addresses; /* the answer; the lookup's own */
};

/* Ask for the endpoints of a host and a service; either may be NULL, and `hints`, too. EINVAL: a
 * text is empty or too long, or the service is a number that is no port. */
int lookup_init_forward(struct lookup *lookup, const char *host, const char *service,
                        const struct addrinfo *hints);
/* Ask for the names of an endpoint. EAFNOSUPPORT: it is not an IP endpoint. */
int lookup_init_reverse(struct lookup *lookup, const struct thrum_endpoint *endpoint, int flags);
void lookup_deinit(struct lookup *lookup);

/* Answer what needs no resolver: numbers. Never waits, opens no file of the system's databases.
 * EAGAIN: it has to be run. */
int lookup_try(struct lookup *lookup);

/* Whether the system probably answers without asking anybody: the host is a number, there is none,
 * or it is of this host itself or in /etc/hosts. A guess, for what is best asked first; it reads a
 * file. */
bool lookup_is_local(const struct lookup *lookup);

/* Ask the system, which may take as long as it likes. Errors: the resolver category's, or an errno
 * when it is the system that failed. */
int lookup_run(struct lookup *lookup);

THRUM_END_DECLS

#endif
