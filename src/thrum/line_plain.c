/* SPDX-License-Identifier: BSL-1.0 */
/* Lines as they come: see line.h. What has been read and not been taken yet stands in one buffer.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "line.h"

enum { READ_SIZE = 4096 };

static struct {
    char *bytes;
    size_t size; /* of what has been read */
    size_t capacity;
    size_t taken; /* where the line begins */
    bool is_at_end;
    bool is_started;
    bool is_terminal;
    char *prompt;
} input;

static void begin_plain(line_complete *complete)
{
    (void)complete;
    input.is_terminal = isatty(STDIN_FILENO) && isatty(STDOUT_FILENO);
}

static void end_plain(void)
{
    free(input.bytes);
    free(input.prompt);
    memset(&input, 0, sizeof(input));
}

static void show_plain(void)
{
    if (input.prompt)
        fputs(input.prompt, stdout);
    fflush(stdout);
}

static void start_plain(const char *prompt)
{
    free(input.prompt);
    input.prompt = strdup(prompt);
    input.is_started = true;
    show_plain();
}

/* The rest of a file needs no newline to be a line. */
static enum line_state take_plain(const char **text, size_t *size)
{
    const char *line = input.bytes + input.taken;
    size_t left = input.size - input.taken;
    const char *newline = left > 0 ? memchr(line, '\n', left) : NULL;
    if (!newline && !input.is_at_end)
        return LINE_PENDING;
    input.is_started = false;
    if (left == 0)
        return LINE_END;
    *text = line;
    *size = newline ? (size_t)(newline - line) : left;
    input.taken += newline ? *size + 1 : left;
    return LINE_READY;
}

/* Room for one more read, behind what has not been taken. */
static bool make_room(void)
{
    if (input.taken > 0) {
        memmove(input.bytes, input.bytes + input.taken, input.size - input.taken);
        input.size -= input.taken;
        input.taken = 0;
    }
    if (input.capacity - input.size >= READ_SIZE)
        return true;
    size_t capacity = 2 * input.capacity + READ_SIZE;
    char *bytes = realloc(input.bytes, capacity);
    if (!bytes)
        return false;
    input.bytes = bytes;
    input.capacity = capacity;
    return true;
}

/* Nothing yet, because somebody has made standard input non-blocking, is no end. */
static void feed_plain(void)
{
    ssize_t count = make_room() ? read(STDIN_FILENO, input.bytes + input.size, READ_SIZE) : 0;
    if (count > 0)
        input.size += (size_t)count;
    else if (count == 0 || (errno != EINTR && errno != EAGAIN))
        input.is_at_end = true;
}

/* What is half typed is the terminal's, and it drops that by itself. */
static void cancel_plain(void)
{
    input.is_started = false;
    putchar('\n');
}

static bool hide_plain(void)
{
    if (!input.is_started || !input.is_terminal)
        return false;
    putchar('\n');
    fflush(stdout);
    return true;
}

static void remember_nothing(const char *text)
{
    (void)text;
}

const struct line_reader line_plain = {
    .begin = begin_plain,
    .end = end_plain,
    .start = start_plain,
    .take = take_plain,
    .feed = feed_plain,
    .cancel = cancel_plain,
    .hide = hide_plain,
    .show = show_plain,
    .remember = remember_nothing,
};
