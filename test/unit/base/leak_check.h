/* SPDX-License-Identifier: BSL-1.0 */
/* A fixture that fails a case which leaves a descriptor open. */
#ifndef UNIT_BASE_LEAK_CHECK_H
#define UNIT_BASE_LEAK_CHECK_H

#include <fcntl.h>

#include <catch2/catch.hpp>

inline int open_descriptors()
{
    int count = 0;
    for (int fd = 0; fd < 1024; fd++)
        count += fcntl(fd, F_GETFD) != -1;
    return count;
}

struct leak_check {
    int before = open_descriptors();

    ~leak_check()
    {
        CHECK(open_descriptors() == before);
    }
};

#endif
