// SPDX-License-Identifier: BSL-1.0
// Errors: categories, names and texts.
#include <cerrno>
#include <climits>
#include <cstring>
#include <netdb.h>
#include <set>
#include <string>

#include <catch2/catch.hpp>
#include <thrum/error.h>

namespace
{

std::string message(int error)
{
    char text[128];
    return thrum_error_message(error, text, sizeof(text));
}

std::string name(int error)
{
    const char *found = thrum_error_name(error);
    return found ? found : "none";
}

int resolver(int code)
{
    return thrum_error_from(THRUM_CATEGORY_RESOLVER, code < 0 ? -code : code);
}

} // namespace

TEST_CASE("an errno is a system error whose code is itself")
{
    for (int code : {0, EPERM, EADDRINUSE, 4095, THRUM_ERROR_RANGE - 1}) {
        CHECK(thrum_error_category(code) == THRUM_CATEGORY_SYSTEM);
        CHECK(thrum_error_code(code) == code);
        CHECK(thrum_error_from(THRUM_CATEGORY_SYSTEM, code) == code);
        CHECK(thrum_error_from(THRUM_CATEGORY_GENERIC, code) == code);
        CHECK(thrum_error_togeneric(code) == code);
    }
}

TEST_CASE("category and code of any int lead back to it")
{
    for (int error : {0, 1, -1, INT_MIN, INT_MAX, 0xffff, 0x10000, 0x1ffff, 0x20000, 0x2ffff,
                      0x30000, 0x40005, 0x4ffff, 0x50000, -0x20000})
        CHECK(thrum_error_from(thrum_error_category(error), thrum_error_code(error)) == error);
}

TEST_CASE("a code that no category has stays in its category")
{
    for (enum thrum_category category :
         {THRUM_CATEGORY_RESOLVER, THRUM_CATEGORY_MISC, THRUM_CATEGORY_FIBER})
        for (int code : {-1, INT_MIN, INT_MAX, (int)THRUM_ERROR_RANGE}) {
            int error = thrum_error_from(category, code);
            CHECK(thrum_error_category(error) == category);
            CHECK(message(error) == "Unknown error 65535");
        }
}

TEST_CASE("our own conditions have their category, code, name and text")
{
    std::set<int> seen;
#define CHECK_ROW(constant, base, number, label, text)                             \
    CHECK(seen.insert(constant).second);                                           \
    CHECK(thrum_error_code(constant) == (number));                                 \
    CHECK(thrum_error_category(constant) == (base) / THRUM_ERROR_RANGE);           \
    CHECK(thrum_error_from(thrum_error_category(constant), number) == (constant)); \
    CHECK(name(constant) == (label));                                              \
    CHECK(message(constant) == (text));
    THRUM_OWN_ERRORS(CHECK_ROW)
#undef CHECK_ROW
    CHECK(THRUM_EEOF == 0x30002);
}

TEST_CASE("categories have names")
{
    CHECK(std::string(thrum_category_name(THRUM_CATEGORY_SYSTEM)) == "system");
    CHECK(std::string(thrum_category_name(THRUM_CATEGORY_GENERIC)) == "generic");
    CHECK(std::string(thrum_category_name(THRUM_CATEGORY_RESOLVER)) == "resolver");
    CHECK(std::string(thrum_category_name(THRUM_CATEGORY_MISC)) == "misc");
    CHECK(std::string(thrum_category_name(THRUM_CATEGORY_FIBER)) == "fiber");
    CHECK(std::string(thrum_category_name(THRUM_N_CATEGORIES)) == "unknown");
}

TEST_CASE("the text of an errno is the system's plain one")
{
    CHECK(message(EADDRINUSE) == "Address already in use");
    CHECK(message(EINVAL) == "Invalid argument");
    CHECK(message(ECANCELED) == "Operation canceled");
}

TEST_CASE("unknown codes say so with their number")
{
    CHECK(message(9999) == "Unknown error 9999");
    CHECK(message(-1) == "Unknown error -1");
    CHECK(message(THRUM_ERROR_RESOLVER + 77) == "Unknown error 77");
    CHECK(message(THRUM_ERROR_MISC + 99) == "Unknown error 99");
    CHECK(name(9999) == "none");
    CHECK(name(0) == "none");
    CHECK(name(THRUM_ERROR_MISC + 99) == "none");
}

TEST_CASE("resolver errors have texts and the names of their constants")
{
    CHECK(message(resolver(EAI_NONAME)) == "Name or service not known");
    CHECK(message(resolver(EAI_OVERFLOW)) == "Result too large for supplied buffer");
    CHECK(name(resolver(EAI_NONAME)) == "EAI_NONAME");
    CHECK(thrum_error_category(resolver(EAI_NONAME)) == THRUM_CATEGORY_RESOLVER);
}

#ifdef __GLIBC__
TEST_CASE("the resolver's texts are those of gai_strerror in English")
{
    for (int code :
         {EAI_AGAIN, EAI_BADFLAGS, EAI_FAIL, EAI_FAMILY, EAI_MEMORY, EAI_NONAME, EAI_SERVICE,
          EAI_SOCKTYPE, EAI_SYSTEM, EAI_NODATA, EAI_ADDRFAMILY, EAI_INPROGRESS, EAI_CANCELED,
          EAI_NOTCANCELED, EAI_ALLDONE, EAI_INTR, EAI_IDN_ENCODE})
        CHECK(message(resolver(code)) == gai_strerror(code));
}
#endif

TEST_CASE("a message never exceeds its buffer and always ends")
{
    char text[8];
    memset(text, 'x', sizeof(text));
    CHECK(thrum_error_message(EADDRINUSE, text, 5) == text);
    CHECK(std::string(text) == "Addr");
    CHECK(text[5] == 'x');
    thrum_error_message(THRUM_EEOF, text, 1);
    CHECK(text[0] == '\0');
    text[0] = 'y';
    thrum_error_message(EINVAL, text, 0);
    CHECK(text[0] == 'y');
}

TEST_CASE("of two names for one code the usual one is given")
{
    CHECK(name(EWOULDBLOCK) == "EAGAIN");
    CHECK(name(EADDRINUSE) == "EADDRINUSE");
    CHECK(name(E2BIG) == "E2BIG");
    CHECK(name(EXDEV) == "EXDEV");
}

TEST_CASE("what has a POSIX meaning says which")
{
    CHECK(thrum_error_togeneric(THRUM_EINTERRUPTED) == ECANCELED);
    CHECK(thrum_error_togeneric(THRUM_EEOF) == 0);
    CHECK(thrum_error_togeneric(THRUM_EDEADLOCK) == 0);
    CHECK(thrum_error_togeneric(resolver(EAI_NONAME)) == 0);
}

TEST_CASE("the POSIX table is sorted, named and described")
{
    std::string previous;
    for (const struct thrum_posix_error *row = thrum_posix_errors(); row->name; row++) {
        INFO(row->name);
        CHECK(previous < row->name);
        previous = row->name;
        CHECK(row->code > 0);
        CHECK(row->code < THRUM_ERROR_RANGE);
        CHECK(message(row->code).find("Unknown error") == std::string::npos);
        int named = 0;
        for (const struct thrum_posix_error *other = thrum_posix_errors(); other->name; other++)
            named += name(row->code) == other->name && other->code == row->code;
        CHECK(named == 1);
    }
}
