/* SPDX-License-Identifier: BSL-1.0 */
/* Errors: one int for every failure, and what it means. */
#ifndef THRUM_ERROR_H
#define THRUM_ERROR_H

#include <stddef.h>

#include <thrum/visibility.h>

THRUM_BEGIN_DECLS

/* Categories: whose numbering a code follows. */
enum thrum_category {
    THRUM_CATEGORY_SYSTEM,   /* errno, as the system call left it */
    THRUM_CATEGORY_GENERIC,  /* POSIX names, for comparison with any system */
    THRUM_CATEGORY_RESOLVER, /* getaddrinfo(3), EAI_... */
    THRUM_CATEGORY_MISC,     /* Boost.Asio's conditions that are no errno */
    THRUM_CATEGORY_FIBER,    /* the scheduler's own */
    THRUM_N_CATEGORIES
};

/* Every function of this library that can fail returns an int: 0 for success, a value below
 * THRUM_ERROR_RANGE for an errno, else a category's base plus a code of that category. */
enum {
    THRUM_ERROR_RANGE = 0x10000,
    THRUM_ERROR_RESOLVER = THRUM_CATEGORY_RESOLVER * THRUM_ERROR_RANGE,
    THRUM_ERROR_MISC = THRUM_CATEGORY_MISC * THRUM_ERROR_RANGE,
    THRUM_ERROR_FIBER = THRUM_CATEGORY_FIBER * THRUM_ERROR_RANGE
};

/* The conditions of our own: constant, category's base, code, name, text. The codes of the misc
 * category are those of boost::asio::error::misc_errors. */
#define THRUM_OWN_ERRORS(ROW)                                                         \
    ROW(THRUM_EALREADY_OPEN, THRUM_ERROR_MISC, 1, "already_open", "Already open")     \
    ROW(THRUM_EEOF, THRUM_ERROR_MISC, 2, "eof", "End of file")                        \
    ROW(THRUM_ENOT_FOUND, THRUM_ERROR_MISC, 3, "not_found", "Element not found")      \
    ROW(THRUM_EINTERRUPTED, THRUM_ERROR_FIBER, 1, "interrupted", "Fiber interrupted") \
    ROW(THRUM_ESUSPEND_FORBIDDEN, THRUM_ERROR_FIBER, 2, "suspend_forbidden",          \
        "Operation not permitted within a forbid-suspend block")                      \
    ROW(THRUM_ECOROUTINE_RESERVED, THRUM_ERROR_FIBER, 3, "coroutine_reserved",        \
        "The fiber coroutine is reserved to the scheduler")                           \
    ROW(THRUM_ECANNOT_SUSPEND, THRUM_ERROR_FIBER, 4, "cannot_suspend",                \
        "A fiber cannot be suspended here")                                           \
    ROW(THRUM_EDEADLOCK, THRUM_ERROR_FIBER, 5, "deadlock",                            \
        "Every fiber waits and nothing is pending")                                   \
    ROW(THRUM_ECLEANUP_FAILED, THRUM_ERROR_FIBER, 6, "cleanup_failed",                \
        "A cleanup handler raised an error")

enum thrum_own_error {
#define THRUM_ERROR_CONSTANT(constant, base, code, name, text) constant = (base) + (code),
    THRUM_OWN_ERRORS(THRUM_ERROR_CONSTANT)
#undef THRUM_ERROR_CONSTANT
};

/* The category an error belongs to, and its code there. A code of the resolver category is the
 * positive form of getaddrinfo's (-EAI_NONAME on glibc). Total functions: any int is answered. */
THRUM_API enum thrum_category thrum_error_category(int error);
THRUM_API int thrum_error_code(int error);

/* The error with that code in that category. The generic category folds into errno. A code that is
 * no code of the resolver, misc or fiber category at all (negative, 65536) becomes 65535. */
THRUM_API int thrum_error_from(enum thrum_category category, int code);

/* "system", "generic", "resolver", "misc", "fiber". Static. */
THRUM_API const char *thrum_category_name(enum thrum_category category);

/* Write the plain text for an error ("Address already in use") into `text`, never more than `size`
 * bytes with its NUL: English whatever the locale, and safe from any thread. Returns `text`. */
THRUM_API const char *thrum_error_message(int error, char *text, size_t size);

/* The short name: "EADDRINUSE", "eof", "interrupted"; NULL when the code has none. Static. */
THRUM_API const char *thrum_error_name(int error);

/* The POSIX errno that means the same: an errno itself; ECANCELED for interrupted; 0 for none. */
THRUM_API int thrum_error_togeneric(int error);

/* The POSIX names, in alphabetical order, ended by a row whose name is NULL. Static. */
struct thrum_posix_error {
    const char *name;
    int code;
};
THRUM_API const struct thrum_posix_error *thrum_posix_errors(void);

THRUM_END_DECLS

#endif
