/* SPDX-License-Identifier: BSL-1.0 */
/* Lines edited with GNU Readline, by its alternate interface: see line.h.
 *
 * Readline holds the terminal in its own mode between a line's start and its end only, so a chunk
 * that runs finds it as the user's shell had it. Signals are not Readline's, but for SIGWINCH. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <readline/history.h>
#include <readline/readline.h>

#include "history.h"
#include "line.h"

enum { HISTORY_SIZE = 1000 }; /* lines */

static struct {
    enum line_state state;
    char *text; /* the finished line */
    bool is_started;
    line_complete *complete;
    char *file; /* the history's */
    int n_new;  /* lines it has not got yet */
    bool ends_at_exit;
} editor;

/* ---- completion ---- */

static char *next_candidate(const char *word, int index)
{
    static int n_asked;
    n_asked = index == 0 ? 0 : n_asked + 1;
    return editor.complete(word, n_asked);
}

static char **complete_word(const char *word, int start, int end)
{
    (void)start;
    (void)end;
    rl_attempted_completion_over = 1; /* no names of files */
    rl_completion_append_character = '\0';
    return rl_completion_matches(word, next_candidate);
}

/* ---- the session ---- */

static void save_history(void)
{
    int n_new = editor.n_new < HISTORY_SIZE ? editor.n_new : HISTORY_SIZE;
    if (editor.file && n_new > 0 && append_history(n_new, editor.file) == 0)
        history_truncate_file(editor.file, HISTORY_SIZE);
    free(editor.file);
    editor.file = NULL;
}

static void leave_line(void)
{
    if (editor.is_started)
        rl_callback_handler_remove();
    editor.is_started = false;
}

/* Also where a fiber calls os.exit while the prompt is there. */
static void end_editor(void)
{
    leave_line();
    save_history();
    free(editor.text);
    editor.text = NULL;
}

static void begin_editor(line_complete *complete)
{
    editor.complete = complete;
    rl_readline_name = "thrum";
    rl_catch_signals = 0;
    rl_persistent_signal_handlers = 1; /* SIGWINCH counts while nothing is typed */
    rl_attempted_completion_function = complete_word;
    rl_completer_word_break_characters = " \t\n\"'`@$><=~;|&{}()[]+-*/%^#,!?";
    using_history();
    stifle_history(HISTORY_SIZE);
    editor.file = history_file();
    if (editor.file)
        read_history(editor.file);
    editor.n_new = 0;
    if (!editor.ends_at_exit)
        editor.ends_at_exit = atexit(end_editor) == 0;
}

/* ---- a line ---- */

static void line_ended(char *line)
{
    leave_line();
    editor.text = line;
    editor.state = line ? LINE_READY : LINE_END;
}

static void start_line(const char *prompt)
{
    free(editor.text);
    editor.text = NULL;
    editor.state = LINE_PENDING;
    editor.is_started = true;
    rl_callback_handler_install(prompt, line_ended);
}

static enum line_state take_line(const char **text, size_t *size)
{
    if (editor.state == LINE_READY) {
        *text = editor.text;
        *size = strlen(editor.text);
    }
    return editor.state;
}

/* A search, an argument or a key sequence under way goes with the line. */
static void cancel_line(void)
{
    rl_callback_sigcleanup();
    rl_free_line_state();
    rl_point = rl_end;
    rl_redisplay();
    fputs("^C\n", rl_outstream);
    fflush(rl_outstream);
    leave_line();
}

static bool hide_line(void)
{
    if (!editor.is_started)
        return false;
    rl_clear_visible_line();
    fflush(rl_outstream);
    return true;
}

static void show_line(void)
{
    rl_forced_update_display();
}

static void remember_line(const char *text)
{
    const HIST_ENTRY *last = history_get(history_base + history_length - 1);
    if (text[0] == '\0' || (last && strcmp(last->line, text) == 0))
        return;
    add_history(text);
    editor.n_new++;
}

static const struct line_reader line_readline = {
    .begin = begin_editor,
    .end = end_editor,
    .start = start_line,
    .take = take_line,
    .feed = rl_callback_read_char,
    .cancel = cancel_line,
    .hide = hide_line,
    .show = show_line,
    .remember = remember_line,
};
const struct line_reader *const line_editor = &line_readline;
