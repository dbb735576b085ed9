/* SPDX-License-Identifier: BSL-1.0 */
/* Errors: categories, names and texts. */
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>

#include <thrum/error.h>

/* An error that is no errno. */
struct condition {
    int error;
    const char *name;
    const char *text;
};

/* The texts are glibc's: gai_strerror(3) itself answers in the language of the program's locale. */
#define RESOLVER_ROW(constant, text) \
    {THRUM_ERROR_RESOLVER + ((constant) < 0 ? -(constant) : (constant)), #constant, text},
#define OWN_ROW(constant, base, code, name, text) {constant, name, text},

static const struct condition conditions[] = {
    /* clang-format off */
    THRUM_OWN_ERRORS(OWN_ROW)
    RESOLVER_ROW(EAI_AGAIN, "Temporary failure in name resolution")
    RESOLVER_ROW(EAI_BADFLAGS, "Bad value for ai_flags")
    RESOLVER_ROW(EAI_FAIL, "Non-recoverable failure in name resolution")
    RESOLVER_ROW(EAI_FAMILY, "ai_family not supported")
    RESOLVER_ROW(EAI_MEMORY, "Memory allocation failure")
    RESOLVER_ROW(EAI_NONAME, "Name or service not known")
    RESOLVER_ROW(EAI_OVERFLOW, "Result too large for supplied buffer")
    RESOLVER_ROW(EAI_SERVICE, "Servname not supported for ai_socktype")
    RESOLVER_ROW(EAI_SOCKTYPE, "ai_socktype not supported")
    RESOLVER_ROW(EAI_SYSTEM, "System error")
#ifdef EAI_ADDRFAMILY
    RESOLVER_ROW(EAI_ADDRFAMILY, "Address family for hostname not supported")
#endif
#ifdef EAI_NODATA
    RESOLVER_ROW(EAI_NODATA, "No address associated with hostname")
#endif
#ifdef EAI_INPROGRESS
    RESOLVER_ROW(EAI_INPROGRESS, "Processing request in progress")
#endif
#ifdef EAI_CANCELED
    RESOLVER_ROW(EAI_CANCELED, "Request canceled")
#endif
#ifdef EAI_NOTCANCELED
    RESOLVER_ROW(EAI_NOTCANCELED, "Request not canceled")
#endif
#ifdef EAI_ALLDONE
    RESOLVER_ROW(EAI_ALLDONE, "All requests done")
#endif
#ifdef EAI_INTR
    RESOLVER_ROW(EAI_INTR, "Interrupted by a signal")
#endif
#ifdef EAI_IDN_ENCODE
    RESOLVER_ROW(EAI_IDN_ENCODE, "Parameter string not correctly encoded")
#endif
    /* clang-format on */
};

#define POSIX_ROW(constant) {#constant, constant},

/* POSIX.1-2017, and what Linux adds for sockets. Of two names for one code the first counts. */
static const struct thrum_posix_error posix_errors[] = {
    /* clang-format off */
    POSIX_ROW(E2BIG)
    POSIX_ROW(EACCES)
    POSIX_ROW(EADDRINUSE)
    POSIX_ROW(EADDRNOTAVAIL)
    POSIX_ROW(EAFNOSUPPORT)
    POSIX_ROW(EAGAIN)
    POSIX_ROW(EALREADY)
    POSIX_ROW(EBADF)
    POSIX_ROW(EBADMSG)
    POSIX_ROW(EBUSY)
    POSIX_ROW(ECANCELED)
    POSIX_ROW(ECHILD)
    POSIX_ROW(ECONNABORTED)
    POSIX_ROW(ECONNREFUSED)
    POSIX_ROW(ECONNRESET)
    POSIX_ROW(EDEADLK)
    POSIX_ROW(EDESTADDRREQ)
    POSIX_ROW(EDOM)
    POSIX_ROW(EDQUOT)
    POSIX_ROW(EEXIST)
    POSIX_ROW(EFAULT)
    POSIX_ROW(EFBIG)
#ifdef EHOSTDOWN
    POSIX_ROW(EHOSTDOWN)
#endif
    POSIX_ROW(EHOSTUNREACH)
    POSIX_ROW(EIDRM)
    POSIX_ROW(EILSEQ)
    POSIX_ROW(EINPROGRESS)
    POSIX_ROW(EINTR)
    POSIX_ROW(EINVAL)
    POSIX_ROW(EIO)
    POSIX_ROW(EISCONN)
    POSIX_ROW(EISDIR)
    POSIX_ROW(ELOOP)
    POSIX_ROW(EMFILE)
    POSIX_ROW(EMLINK)
    POSIX_ROW(EMSGSIZE)
#ifdef EMULTIHOP
    POSIX_ROW(EMULTIHOP)
#endif
    POSIX_ROW(ENAMETOOLONG)
    POSIX_ROW(ENETDOWN)
    POSIX_ROW(ENETRESET)
    POSIX_ROW(ENETUNREACH)
    POSIX_ROW(ENFILE)
    POSIX_ROW(ENOBUFS)
#ifdef ENODATA
    POSIX_ROW(ENODATA)
#endif
    POSIX_ROW(ENODEV)
    POSIX_ROW(ENOENT)
    POSIX_ROW(ENOEXEC)
    POSIX_ROW(ENOLCK)
#ifdef ENOLINK
    POSIX_ROW(ENOLINK)
#endif
    POSIX_ROW(ENOMEM)
    POSIX_ROW(ENOMSG)
#ifdef ENONET
    POSIX_ROW(ENONET)
#endif
    POSIX_ROW(ENOPROTOOPT)
    POSIX_ROW(ENOSPC)
#ifdef ENOSR
    POSIX_ROW(ENOSR)
#endif
#ifdef ENOSTR
    POSIX_ROW(ENOSTR)
#endif
    POSIX_ROW(ENOSYS)
#ifdef ENOTBLK
    POSIX_ROW(ENOTBLK)
#endif
    POSIX_ROW(ENOTCONN)
    POSIX_ROW(ENOTDIR)
    POSIX_ROW(ENOTEMPTY)
    POSIX_ROW(ENOTRECOVERABLE)
    POSIX_ROW(ENOTSOCK)
    POSIX_ROW(ENOTSUP)
    POSIX_ROW(ENOTTY)
    POSIX_ROW(ENXIO)
    POSIX_ROW(EOPNOTSUPP)
    POSIX_ROW(EOVERFLOW)
    POSIX_ROW(EOWNERDEAD)
    POSIX_ROW(EPERM)
#ifdef EPFNOSUPPORT
    POSIX_ROW(EPFNOSUPPORT)
#endif
    POSIX_ROW(EPIPE)
    POSIX_ROW(EPROTO)
    POSIX_ROW(EPROTONOSUPPORT)
    POSIX_ROW(EPROTOTYPE)
    POSIX_ROW(ERANGE)
#ifdef EREMOTEIO
    POSIX_ROW(EREMOTEIO)
#endif
    POSIX_ROW(EROFS)
#ifdef ESHUTDOWN
    POSIX_ROW(ESHUTDOWN)
#endif
#ifdef ESOCKTNOSUPPORT
    POSIX_ROW(ESOCKTNOSUPPORT)
#endif
    POSIX_ROW(ESPIPE)
    POSIX_ROW(ESRCH)
    POSIX_ROW(ESTALE)
#ifdef ETIME
    POSIX_ROW(ETIME)
#endif
    POSIX_ROW(ETIMEDOUT)
#ifdef ETOOMANYREFS
    POSIX_ROW(ETOOMANYREFS)
#endif
    POSIX_ROW(ETXTBSY)
#ifdef EUSERS
    POSIX_ROW(EUSERS)
#endif
    POSIX_ROW(EWOULDBLOCK)
    POSIX_ROW(EXDEV)
    {NULL, 0},
    /* clang-format on */
};

static const struct condition *find_condition(int error)
{
    for (size_t i = 0; i < sizeof(conditions) / sizeof(*conditions); i++)
        if (conditions[i].error == error)
            return &conditions[i];
    return NULL;
}

#if defined(__GLIBC__)
/* Unlike strerror(3), never translated. */
static const char *describe_errno(int code, char *scratch, size_t size)
{
    (void)scratch;
    (void)size;
    return strerrordesc_np(code);
}
#else
static const char *describe_errno(int code, char *scratch, size_t size)
{
    return strerror_r(code, scratch, size) == 0 ? scratch : NULL;
}
#endif

enum thrum_category thrum_error_category(int error)
{
    int category = error / THRUM_ERROR_RANGE;
    if (category < THRUM_CATEGORY_RESOLVER || category >= THRUM_N_CATEGORIES)
        return THRUM_CATEGORY_SYSTEM;
    return (enum thrum_category)category;
}

int thrum_error_code(int error)
{
    return thrum_error_category(error) == THRUM_CATEGORY_SYSTEM ? error : error % THRUM_ERROR_RANGE;
}

int thrum_error_from(enum thrum_category category, int code)
{
    int base = (int)category;
    if (base < THRUM_CATEGORY_RESOLVER || base >= THRUM_N_CATEGORIES)
        return code;
    if (code < 0 || code >= THRUM_ERROR_RANGE)
        code = THRUM_ERROR_RANGE - 1;
    return base * THRUM_ERROR_RANGE + code;
}

const char *thrum_category_name(enum thrum_category category)
{
    static const char *const names[THRUM_N_CATEGORIES] = {
        [THRUM_CATEGORY_SYSTEM] = "system",     [THRUM_CATEGORY_GENERIC] = "generic",
        [THRUM_CATEGORY_RESOLVER] = "resolver", [THRUM_CATEGORY_MISC] = "misc",
        [THRUM_CATEGORY_FIBER] = "fiber",
    };
    unsigned index = (unsigned)category;
    return index < THRUM_N_CATEGORIES ? names[index] : "unknown";
}

const char *thrum_error_message(int error, char *text, size_t size)
{
    char scratch[256];
    const char *description = NULL;
    const struct condition *condition = find_condition(error);
    if (condition)
        description = condition->text;
    else if (thrum_error_category(error) == THRUM_CATEGORY_SYSTEM)
        description = describe_errno(error, scratch, sizeof(scratch));

    if (description)
        snprintf(text, size, "%s", description);
    else
        snprintf(text, size, "Unknown error %d", thrum_error_code(error));
    return text;
}

const char *thrum_error_name(int error)
{
    const struct condition *condition = find_condition(error);
    if (condition)
        return condition->name;
    for (const struct thrum_posix_error *row = posix_errors; row->name; row++)
        if (row->code == error)
            return row->name;
    return NULL;
}

int thrum_error_togeneric(int error)
{
    if (error == THRUM_EINTERRUPTED)
        return ECANCELED;
    return thrum_error_category(error) == THRUM_CATEGORY_SYSTEM ? error : 0;
}

const struct thrum_posix_error *thrum_posix_errors(void)
{
    return posix_errors;
}
