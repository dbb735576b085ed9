/* SPDX-License-Identifier: BSL-1.0 */
/* Names: the addresses of a host and the names of an address, asked of the system's resolver. */
#ifndef THRUM_RESOLVER_H
#define THRUM_RESOLVER_H

#include <netdb.h>

#include <thrum/address.h>
#include <thrum/context.h>
#include <thrum/operation.h>
#include <thrum/visibility.h>

THRUM_BEGIN_DECLS

/* getaddrinfo(3) and getnameinfo(3) block and cannot be stopped, so threads call them: up to
 * THRUM_RESOLVER_MAX_THREADS for each context, begun when a lookup needs one and gone as soon as
 * there is nothing left to look up; what is more than that queues. While all are at work, one more
 * answers what needs no name server (localhost, names of /etc/hosts, numbers). The threads block
 * all signals and make no callbacks: `done` comes from the context's loop, as ever.
 *
 * A lookup that is cancelled completes at once. If it had begun, its thread goes on until the
 * system answers, throws the answer away and takes the next; thrum_context_free and exit(3) do not
 * wait for it. So the library's code must not be unloaded while it may run: shared objects of this
 * library stay in memory once loaded.
 *
 * The threads do not live on in a child made by fork(2): it must not use the context. Programs
 * started with posix_spawn(3), or after fork by exec(3), are not concerned. */
enum { THRUM_RESOLVER_MAX_THREADS = 32 };

/* One lookup at a time, and what the last one has found. */
typedef struct thrum_resolver thrum_resolver;

/* Errors: ENOMEM. */
THRUM_API int thrum_resolver_new(thrum_context *context, thrum_resolver **resolver) THRUM_NOEXCEPT;
/* A pending lookup ends with ECANCELED. NULL is fine. */
THRUM_API void thrum_resolver_free(thrum_resolver *resolver) THRUM_NOEXCEPT;

/* Look up the endpoints of a host and a service with getaddrinfo(3). Either text may be NULL, not
 * both; of `hints`, which may be NULL, the flags, family, socket type and protocol count. Unlike
 * getaddrinfo, a service that is a number must be a port: digits only, up to 65535.
 *
 * thrum_resolver_try_look_up answers what is numeric, host and service, without asking anybody and
 * without a thread: 0 or the error is the answer, EAGAIN says that it has to be started.
 *
 * In `done`: 0, an error of the resolver category, or the errno behind EAI_SYSTEM; ENOMEM for
 * EAI_MEMORY. From the start: EINVAL when a text is empty, longer than NI_MAXHOST - 1 or
 * NI_MAXSERV - 1, or a number that is no port; EBUSY while another lookup is pending; EAGAIN when
 * there can be no thread; ENOMEM. */
THRUM_API int thrum_resolver_look_up(thrum_resolver *resolver, struct thrum_operation *operation,
                                     const char *host, const char *service,
                                     const struct addrinfo *hints) THRUM_NOEXCEPT;
THRUM_API int thrum_resolver_try_look_up(thrum_resolver *resolver, const char *host,
                                         const char *service,
                                         const struct addrinfo *hints) THRUM_NOEXCEPT;

/* Look up the names of an IP endpoint with getnameinfo(3), `flags` are its NI_ ones. Errors as
 * above; EAFNOSUPPORT for any other endpoint. */
THRUM_API int thrum_resolver_look_up_names(thrum_resolver *resolver,
                                           struct thrum_operation *operation,
                                           const struct thrum_endpoint *endpoint,
                                           int flags) THRUM_NOEXCEPT;

/* What the last lookup has found, if it was of that kind, has ended and found something; else NULL.
 * The resolver's own, until its next lookup begins or it is freed. */
THRUM_API const struct addrinfo *
thrum_resolver_addresses(const thrum_resolver *resolver) THRUM_NOEXCEPT;
THRUM_API const char *thrum_resolver_host_name(const thrum_resolver *resolver) THRUM_NOEXCEPT;
THRUM_API const char *thrum_resolver_service_name(const thrum_resolver *resolver) THRUM_NOEXCEPT;

THRUM_END_DECLS

#endif
