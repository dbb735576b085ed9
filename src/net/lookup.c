/* SPDX-License-Identifier: BSL-1.0 */
/* Lookups by getaddrinfo(3) and getnameinfo(3). */
#include "net/lookup.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <thrum/error.h>

#include "net/decimal.h"
#include "net/hosts.h"

static const char hosts_file[] = "/etc/hosts";

/* ---- errors ---- */

/* glibc has been seen to say EAI_SYSTEM and leave errno alone; and to say that a name or a service
 * is not known when it could not open the files and sockets to ask with. */
static int error_of(int code)
{
    if (code == 0)
        return 0;
    if (errno == EMFILE || errno == ENFILE || errno == ENOMEM)
        return errno;
    if (code == EAI_SYSTEM && errno != 0)
        return errno;
    if (code == EAI_MEMORY)
        return ENOMEM;
    if (code == EAI_SYSTEM)
        code = EAI_FAIL;
    return THRUM_ERROR_RESOLVER + (code < 0 ? -code : code);
}

/* ---- the question ---- */

static int copy_text(const char *text, char *copy, size_t size, bool *has_text)
{
    size_t length = text ? strlen(text) : 0;
    if (text && (length == 0 || length >= size))
        return EINVAL;
    *has_text = text != NULL;
    memcpy(copy, text ? text : "", length + 1);
    return 0;
}

/* No name has a colon, so the name servers are not asked for one. getaddrinfo takes a zone's name
 * for link-local addresses only, its number for all. */
static void settle_v6(struct lookup *lookup)
{
    struct thrum_address address;
    lookup->hints.ai_flags |= AI_NUMERICHOST;
    if (thrum_address_parse(lookup->host, strlen(lookup->host), &address) || address.scope_id == 0)
        return;
    uint32_t scope_id = address.scope_id;
    address.scope_id = 0;
    size_t length = thrum_address_format(&address, lookup->host);
    snprintf(lookup->host + length, sizeof(lookup->host) - length, "%%%" PRIu32, scope_id);
}

/* Whether strtoul(3) reads all of it, as getaddrinfo does: it would take a sign, blanks and any
 * size, and cut the port down. */
static bool is_number(const char *text)
{
    while (isspace((unsigned char)*text))
        text++;
    if (*text == '+' || *text == '-')
        text++;
    return *text != '\0' && text[strspn(text, "0123456789")] == '\0';
}

static int check_service(const char *text)
{
    uint32_t port;
    if (!is_number(text))
        return 0;
    size_t n_zeros = strspn(text, "0");
    if (text[n_zeros] == '\0')
        return 0;
    return decimal_parse(text + n_zeros, strlen(text) - n_zeros, UINT16_MAX, &port);
}

int lookup_init_forward(struct lookup *lookup, const char *host, const char *service,
                        const struct addrinfo *hints)
{
    *lookup = (struct lookup){.is_reverse = false};
    if (hints)
        lookup->hints = (struct addrinfo){.ai_flags = hints->ai_flags,
                                          .ai_family = hints->ai_family,
                                          .ai_socktype = hints->ai_socktype,
                                          .ai_protocol = hints->ai_protocol};
    int error = copy_text(host, lookup->host, sizeof(lookup->host), &lookup->has_host);
    if (!error)
        error = copy_text(service, lookup->service, sizeof(lookup->service), &lookup->has_service);
    if (!error)
        error = check_service(lookup->service);
    if (!error && strchr(lookup->host, ':'))
        settle_v6(lookup);
    return error;
}

int lookup_init_reverse(struct lookup *lookup, const struct thrum_endpoint *endpoint, int flags)
{
    int family = endpoint->sa.any.sa_family;
    *lookup = (struct lookup){.is_reverse = true, .flags = flags, .endpoint = *endpoint};
    return family == AF_INET || family == AF_INET6 ? 0 : EAFNOSUPPORT;
}

void lookup_deinit(struct lookup *lookup)
{
    if (lookup->addresses)
        freeaddrinfo(lookup->addresses);
    lookup->addresses = NULL;
}

/* ---- the answer ---- */

static int ask_addresses(struct lookup *lookup, int more_flags)
{
    struct addrinfo hints = lookup->hints;
    hints.ai_flags |= more_flags;
    errno = 0;
    return getaddrinfo(lookup->has_host ? lookup->host : NULL,
                       lookup->has_service ? lookup->service : NULL, &hints, &lookup->addresses);
}

static int ask_names(struct lookup *lookup)
{
    errno = 0;
    return getnameinfo(&lookup->endpoint.sa.any, lookup->endpoint.size, lookup->host,
                       sizeof(lookup->host), lookup->service, sizeof(lookup->service),
                       lookup->flags);
}

/* What begins with a digit is a number most of the time: getaddrinfo tells. */
static bool may_be_numeric(const struct lookup *lookup)
{
    int flags = lookup->hints.ai_flags;
    bool is_host =
        !lookup->has_host || (flags & AI_NUMERICHOST) || isdigit((unsigned char)lookup->host[0]);
    bool is_service =
        !lookup->has_service || (flags & AI_NUMERICSERV) || is_number(lookup->service);
    return is_host && is_service;
}

int lookup_try(struct lookup *lookup)
{
    if (lookup->is_reverse || !may_be_numeric(lookup))
        return EAGAIN;
    int code = ask_addresses(lookup, AI_NUMERICHOST | AI_NUMERICSERV);
    bool may_be_name = lookup->has_host && !(lookup->hints.ai_flags & AI_NUMERICHOST);
    return code == EAI_NONAME && may_be_name ? EAGAIN : error_of(code);
}

static bool is_numeric_host(const char *host)
{
    struct addrinfo hints = {.ai_flags = AI_NUMERICHOST}, *found = NULL;
    if (getaddrinfo(host, NULL, &hints, &found))
        return false;
    freeaddrinfo(found);
    return true;
}

static bool is_local_endpoint(const struct lookup *lookup)
{
    struct thrum_address address;
    uint16_t port;
    return (lookup->flags & NI_NUMERICHOST) ||
           (!thrum_endpoint_to_address(&lookup->endpoint, &address, &port) &&
            hosts_have_address(hosts_file, &address));
}

bool lookup_is_local(const struct lookup *lookup)
{
    if (lookup->is_reverse)
        return is_local_endpoint(lookup);
    return !lookup->has_host || (lookup->hints.ai_flags & AI_NUMERICHOST) ||
           is_numeric_host(lookup->host) || hosts_is_localhost(lookup->host) ||
           hosts_have_name(hosts_file, lookup->host, lookup->hints.ai_family);
}

int lookup_run(struct lookup *lookup)
{
    int code = lookup->is_reverse ? ask_names(lookup) : ask_addresses(lookup, 0);
    if (lookup->is_reverse)
        lookup->has_host = lookup->has_service = code == 0;
    return error_of(code);
}
