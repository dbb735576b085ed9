// SPDX-License-Identifier: BSL-1.0
#include <catch2/catch.hpp>

#include <cstdlib>
#include <cstring>
#include <string>
#include <unistd.h>

#include "net/hosts.h"

namespace
{

// A file with that text as long as it lives.
struct hosts_file {
    char path[32] = "/tmp/thrum-hosts-XXXXXX";

    explicit hosts_file(const std::string &text)
    {
        int fd = mkstemp(path);
        REQUIRE(write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size()));
        close(fd);
    }

    ~hosts_file()
    {
        unlink(path);
    }

    bool has(const char *name, int family = AF_UNSPEC) const
    {
        return hosts_have_name(path, name, family);
    }

    bool has_address(const char *text) const
    {
        struct thrum_address address;
        REQUIRE(thrum_address_parse(text, std::strlen(text), &address) == 0);
        return hosts_have_address(path, &address);
    }
};

} // namespace

TEST_CASE("the names and addresses of a hosts file")
{
    hosts_file file("# comment\n\n192.0.2.1 one  First.Alias\tsecond # third\n"
                    "  2001:db8::1\tsix both\r\nnonsense four\n192.0.2.2\n192.0.2.3 both last");
    for (const char *name : {"one", "ONE", "first.alias", "second", "six", "both", "last"})
        CHECK(file.has(name));
    for (const char *name : {"#", "third", "192.0.2.1", "four", "nonsense", "on", "", "comment"})
        CHECK_FALSE(file.has(name));
    CHECK(file.has("one", AF_INET));
    CHECK_FALSE(file.has("one", AF_INET6));
    CHECK(file.has("six", AF_INET6));
    CHECK_FALSE(file.has("six", AF_INET));
    CHECK(file.has("both", AF_INET));
    CHECK(file.has("both", AF_INET6));
    CHECK(file.has_address("192.0.2.1"));
    CHECK(file.has_address("2001:DB8:0::1"));
    CHECK_FALSE(file.has_address("192.0.2.9"));
}

TEST_CASE("a hosts file that is not there, is empty or is a directory has nothing")
{
    hosts_file empty("");
    CHECK_FALSE(empty.has("localhost"));
    CHECK_FALSE(hosts_have_name("/nonexistent/hosts", "localhost", AF_UNSPEC));
    CHECK_FALSE(hosts_have_name("/", "localhost", AF_UNSPEC));
}

TEST_CASE("localhost and what is below it")
{
    for (const char *name :
         {"localhost", "LOCALHOST", "localhost.", "a.localhost", "a.b.localhost."})
        CHECK(hosts_is_localhost(name));
    for (const char *name : {"", ".", "localhos", "mylocalhost", "localhost.test", "localhost.."})
        CHECK_FALSE(hosts_is_localhost(name));
}
