/* SPDX-License-Identifier: BSL-1.0 */
/* Which symbols the shared objects export, and C linkage for C++ callers. */
#ifndef THRUM_VISIBILITY_H
#define THRUM_VISIBILITY_H

#if defined(__GNUC__)
#define THRUM_API __attribute__((visibility("default")))
#else
#define THRUM_API
#endif

#ifdef __cplusplus
#define THRUM_BEGIN_DECLS extern "C" {
#define THRUM_END_DECLS }
#define THRUM_NOEXCEPT noexcept
#else
#define THRUM_BEGIN_DECLS
#define THRUM_END_DECLS
#define THRUM_NOEXCEPT
#endif

#endif
