// SPDX-License-Identifier: BSL-1.0
// Intrusive lists.
#include <vector>

#include <catch2/catch.hpp>

#include "base/list.h"

namespace
{

struct item {
    int number;
    struct list node;
};

std::vector<int> numbers(const struct list &list)
{
    std::vector<int> result;
    for (struct list *node = list.next; node != &list; node = node->next)
        result.push_back(LIST_ITEM(node, struct item, node)->number);
    return result;
}

struct three_items {
    struct list list;
    item items[3];

    three_items()
    {
        list_init(&list);
        for (int i = 0; i < 3; i++) {
            items[i].number = i;
            list_init(&items[i].node);
            list_append(&list, &items[i].node);
        }
    }
};

} // namespace

TEST_CASE("a new list is empty and a new node is in no list")
{
    struct list list;
    list_init(&list);
    CHECK(list_is_empty(&list));
    list_remove(&list);
    CHECK(list_is_empty(&list));
}

TEST_CASE_METHOD(three_items, "items come in the order they were appended")
{
    CHECK_FALSE(list_is_empty(&list));
    CHECK(numbers(list) == std::vector<int>{0, 1, 2});
    CHECK(list.previous == &items[2].node);
}

TEST_CASE_METHOD(three_items, "any item can be removed, twice, and appended again")
{
    list_remove(&items[1].node);
    list_remove(&items[1].node);
    CHECK(numbers(list) == std::vector<int>{0, 2});
    list_append(&list, &items[1].node);
    CHECK(numbers(list) == std::vector<int>{0, 2, 1});
}

TEST_CASE_METHOD(three_items, "a list whose items are all removed is empty")
{
    for (item &each : items)
        list_remove(&each.node);
    CHECK(list_is_empty(&list));
}
