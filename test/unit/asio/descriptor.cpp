// SPDX-License-Identifier: BSL-1.0
#include "world.hpp"

#include <fcntl.h>

#include <thrum/descriptor.h>

namespace
{

struct piped : world {
    int ends[2] = {-1, -1};
    thrum_descriptor *descriptor = nullptr;

    piped()
    {
        REQUIRE(pipe(ends) == 0);
        REQUIRE(thrum_descriptor_new(context, ends[0], &descriptor) == 0);
    }

    ~piped()
    {
        thrum_descriptor_free(descriptor);
        close_end(0);
        close_end(1);
    }

    void close_end(int which)
    {
        if (ends[which] >= 0)
            close(ends[which]);
        ends[which] = -1;
    }

    void put(char byte = 'x')
    {
        REQUIRE(write(ends[1], &byte, 1) == 1);
    }

    char get()
    {
        char byte = 0;
        REQUIRE(read(ends[0], &byte, 1) == 1);
        return byte;
    }
};

} // namespace

TEST_CASE("a descriptor wait completes when there is something to read, and reads nothing")
{
    piped w;
    waiter one;
    REQUIRE(thrum_descriptor_wait(w.descriptor, &one.operation) == 0);
    thrum_context_poll(w.context);
    CHECK(one.n_done == 0);
    w.put('a');
    w.run();
    CHECK(one.n_done == 1);
    CHECK(one.error == 0);
    CHECK(w.get() == 'a');
}

TEST_CASE("a descriptor that is readable already completes each wait, from the loop")
{
    piped w;
    waiter one;
    w.put();
    w.put();
    for (int n_done = 0; n_done < 3; ++n_done) {
        REQUIRE(thrum_descriptor_wait(w.descriptor, &one.operation) == 0);
        CHECK(one.n_done == n_done);
        w.run();
        CHECK(one.error == 0);
    }
    w.get();
    REQUIRE(thrum_descriptor_wait(w.descriptor, &one.operation) == 0);
    w.run(); // one byte is left
    CHECK(one.n_done == 4);
    w.get();
    REQUIRE(thrum_descriptor_wait(w.descriptor, &one.operation) == 0);
    thrum_context_poll(w.context);
    CHECK(one.is_pending());
    one.cancel();
    w.run();
    CHECK(one.error == ECANCELED);
}

TEST_CASE("the end of a pipe is readable")
{
    piped w;
    waiter one;
    REQUIRE(thrum_descriptor_wait(w.descriptor, &one.operation) == 0);
    w.close_end(1);
    w.run();
    CHECK(one.error == 0);
}

TEST_CASE("a descriptor stays as blocking as it was, and open")
{
    auto flags = GENERATE(0, O_NONBLOCK);
    piped w;
    waiter one;
    REQUIRE(fcntl(w.ends[0], F_SETFL, flags) == 0);
    thrum_descriptor_free(w.descriptor);
    w.descriptor = nullptr;
    REQUIRE(thrum_descriptor_new(w.context, w.ends[0], &w.descriptor) == 0);
    w.put('b');
    REQUIRE(thrum_descriptor_wait(w.descriptor, &one.operation) == 0);
    CHECK((fcntl(w.ends[0], F_GETFL) & O_NONBLOCK) == flags);
    w.run();
    thrum_descriptor_free(w.descriptor);
    w.descriptor = nullptr;
    CHECK((fcntl(w.ends[0], F_GETFL) & O_NONBLOCK) == flags);
    CHECK(w.get() == 'b');
}

TEST_CASE("a descriptor takes one wait at a time")
{
    piped w;
    waiter one, two;
    REQUIRE(thrum_descriptor_wait(w.descriptor, &one.operation) == 0);
    CHECK(thrum_descriptor_wait(w.descriptor, &two.operation) == EBUSY);
    CHECK(thrum_descriptor_wait(w.descriptor, &one.operation) == EBUSY);
    one.cancel();
    w.run();
    CHECK(one.error == ECANCELED);
    REQUIRE(thrum_descriptor_wait(w.descriptor, &two.operation) == 0);
    w.put();
    w.run();
    CHECK(two.error == 0);
}

TEST_CASE("two objects may wait for one descriptor")
{
    piped w;
    waiter one, two;
    thrum_descriptor *other = nullptr;
    REQUIRE(thrum_descriptor_new(w.context, w.ends[0], &other) == 0);
    REQUIRE(thrum_descriptor_wait(w.descriptor, &one.operation) == 0);
    REQUIRE(thrum_descriptor_wait(other, &two.operation) == 0);
    w.put();
    w.run();
    CHECK(one.error == 0);
    CHECK(two.error == 0);
    thrum_descriptor_free(other);
}

TEST_CASE("freeing a descriptor ends its wait")
{
    piped w;
    waiter one;
    REQUIRE(thrum_descriptor_wait(w.descriptor, &one.operation) == 0);
    thrum_descriptor_free(w.descriptor);
    w.descriptor = nullptr;
    one.cancel();
    w.run();
    CHECK(one.error == ECANCELED);
}

TEST_CASE("a descriptor may be freed in its own completion")
{
    piped w;
    waiter one;
    one.then = [&] {
        thrum_descriptor_free(w.descriptor);
        w.descriptor = nullptr;
    };
    w.put();
    REQUIRE(thrum_descriptor_wait(w.descriptor, &one.operation) == 0);
    w.run();
    CHECK(one.error == 0);
}

TEST_CASE("what the system cannot wait for says so")
{
    world w;
    waiter one;
    thrum_descriptor *descriptor = nullptr;
    int file = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    REQUIRE(file >= 0);
    REQUIRE(thrum_descriptor_new(w.context, file, &descriptor) == 0);
    close(file); // it has a copy
    REQUIRE(thrum_descriptor_wait(descriptor, &one.operation) == 0);
    CHECK(one.n_done == 0);
    w.run();
    CHECK(one.error == EOPNOTSUPP);
    thrum_descriptor_free(descriptor);
}

TEST_CASE("no descriptor, no object")
{
    world w;
    thrum_descriptor *descriptor = nullptr;
    CHECK(thrum_descriptor_new(w.context, -1, &descriptor) == EBADF);
    CHECK(descriptor == nullptr);
    thrum_descriptor_free(nullptr);
}

TEST_CASE("a descriptor outlives its context as a shell")
{
    descriptor_watch watch;
    int ends[2];
    thrum_context *context = nullptr;
    thrum_descriptor *descriptor = nullptr;
    waiter one;
    REQUIRE(pipe(ends) == 0);
    REQUIRE(thrum_context_new(&context) == 0);
    REQUIRE(thrum_descriptor_new(context, ends[0], &descriptor) == 0);
    REQUIRE(thrum_descriptor_wait(descriptor, &one.operation) == 0);
    thrum_context_free(context);
    CHECK(one.n_done == 0);
    CHECK(thrum_descriptor_wait(descriptor, &one.operation) == EBADF);
    thrum_descriptor_free(descriptor);
    close(ends[0]);
    close(ends[1]);
}
