/* SPDX-License-Identifier: BSL-1.0 */
/* The history's file: see history.h. */
#include "history.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char *join(const char *folder, const char *rest)
{
    char *path;
    return asprintf(&path, "%s/%s", folder, rest) < 0 ? NULL : path;
}

/* A relative one does not count, as the XDG Base Directory Specification has it. */
static bool is_absolute(const char *folder)
{
    return folder && folder[0] == '/';
}

static char *default_path(void)
{
    const char *state = getenv("XDG_STATE_HOME");
    const char *home = getenv("HOME");
    if (is_absolute(state))
        return join(state, "thrum/history");
    return is_absolute(home) ? join(home, ".local/state/thrum/history") : NULL;
}

/* Each folder on the way to `path`, for the user alone. */
static void make_folders(char *path)
{
    for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        mkdir(path, 0700);
        *slash = '/';
    }
}

/* Others have no business in there. */
static bool is_usable(const char *path)
{
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOCTTY, 0600);
    if (fd < 0)
        return false;
    close(fd);
    return true;
}

char *history_file(void)
{
    const char *chosen = getenv("THRUM_HISTORY");
    char *path = chosen ? strdup(chosen) : default_path();
    if (path && !chosen)
        make_folders(path);
    if (path && is_usable(path))
        return path;
    free(path);
    return NULL;
}
