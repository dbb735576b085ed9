/* SPDX-License-Identifier: BSL-1.0 */
/* Reading lines from standard input without waiting for them: the caller waits until standard input
 * is readable, and lets fibers run meanwhile. */
#ifndef THRUM_LINE_H
#define THRUM_LINE_H

#include <stdbool.h>
#include <stddef.h>

enum line_state {
    LINE_PENDING, /* more has to be read */
    LINE_READY,
    LINE_END /* of the input */
};

/* The candidate number `index`, from 0, for the word before the cursor: malloc'd, or NULL. */
typedef char *line_complete(const char *word, int index);

/* A way to read lines: the one session of the program uses one of them. */
struct line_reader {
    void (*begin)(line_complete *complete);
    void (*end)(void);
    /* Show the prompt; the line begins. */
    void (*start)(const char *prompt);
    /* The line that was started, without its newline; valid until the next start. */
    enum line_state (*take)(const char **text, size_t *size);
    /* Standard input is readable: read some of it. */
    void (*feed)(void);
    /* Drop the line that was started. */
    void (*cancel)(void);
    /* Take prompt and line away, so that something else can be written there; false: there was
     * nothing to take away. And bring them back, below. */
    bool (*hide)(void);
    void (*show)(void);
    /* Keep a line for later sessions. */
    void (*remember)(const char *text);
};

/* Lines as they come: a file, a pipe, a terminal that edits by itself. */
extern const struct line_reader line_plain;

/* With editing and a history, for terminals; NULL when the program was built without. */
extern const struct line_reader *const line_editor;

#endif
