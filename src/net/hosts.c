/* SPDX-License-Identifier: BSL-1.0 */
/* See hosts.h. */
#include "net/hosts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* What is looked for: a name of a family, or an address. */
struct wanted {
    const char *name;
    int family;
    const struct thrum_address *address;
};

static const char blanks[] = " \t\r\n";

static bool is_of_family(const struct thrum_address *address, int family)
{
    return family == AF_UNSPEC || family == (address->is_v6 ? AF_INET6 : AF_INET);
}

static bool line_has(char *line, const struct wanted *wanted)
{
    struct thrum_address address;
    char *rest = NULL;
    line[strcspn(line, "#")] = '\0';
    const char *word = strtok_r(line, blanks, &rest);
    if (!word || thrum_address_parse(word, strlen(word), &address))
        return false;
    if (wanted->address)
        return thrum_address_compare(&address, wanted->address) == 0;
    if (!is_of_family(&address, wanted->family))
        return false;
    while ((word = strtok_r(NULL, blanks, &rest)))
        if (strcasecmp(word, wanted->name) == 0)
            return true;
    return false;
}

static bool file_has(const char *path, const struct wanted *wanted)
{
    char *line = NULL;
    size_t size = 0;
    bool is_found = false;
    FILE *file = fopen(path, "re");
    if (!file)
        return false;
    while (!is_found && getline(&line, &size, file) >= 0)
        is_found = line_has(line, wanted);
    free(line);
    fclose(file);
    return is_found;
}

bool hosts_have_name(const char *path, const char *name, int family)
{
    return file_has(path, &(struct wanted){.name = name, .family = family});
}

bool hosts_have_address(const char *path, const struct thrum_address *address)
{
    return file_has(path, &(struct wanted){.address = address});
}

bool hosts_is_localhost(const char *name)
{
    static const char localhost[] = "localhost";
    size_t length = strlen(name), size = sizeof(localhost) - 1;
    if (length > 0 && name[length - 1] == '.')
        length--;
    if (length < size || strncasecmp(name + length - size, localhost, size) != 0)
        return false;
    return length == size || name[length - size - 1] == '.';
}
