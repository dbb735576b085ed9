/* SPDX-License-Identifier: BSL-1.0 */
/* file_descriptor: close, dup, what it is. */
#include "bind/value/file_descriptor.h"

#include <errno.h>
#include <stdio.h>

#include <lauxlib.h>

#include "base/descriptor.h"
#include "bind/value/class.h"
#include "bind/value/classes.h"
#include "bind/value/error.h"
#include "bind/value/open.h"

struct file_descriptor *file_descriptor_push(lua_State *L)
{
    struct file_descriptor *object = lua_newuserdata(L, sizeof(*object));
    *object = (struct file_descriptor){{&file_descriptor_class}, DESCRIPTOR_CLOSED};
    class_push_metatable(L, &file_descriptor_class);
    lua_setmetatable(L, -2);
    return object;
}

/* Why it has no descriptor: the error, and in words. */
static int explain_absence(const struct file_descriptor *object, const char **words)
{
    bool is_taken = object->fd == DESCRIPTOR_TAKEN;
    *words = is_taken ? "its descriptor has been taken over by a socket" : "it is closed";
    return is_taken ? EBUSY : EBADF;
}

static void check_open(lua_State *L, const struct file_descriptor *object)
{
    const char *words;
    if (object->fd >= 0)
        return;
    int error = explain_absence(object, &words);
    error_raise_detail(L, error, "%s", words);
}

struct file_descriptor *file_descriptor_check_open(lua_State *L, int arg, const char *name)
{
    struct file_descriptor *object = class_check(L, arg, &file_descriptor_class, name);
    check_open(L, object);
    return object;
}

static struct file_descriptor *self_open(lua_State *L)
{
    struct file_descriptor *object = class_check_self(L, &file_descriptor_class);
    check_open(L, object);
    return object;
}

static int descriptor_method_close(lua_State *L)
{
    struct file_descriptor *object = self_open(L);
    int fd = object->fd;
    object->fd = DESCRIPTOR_CLOSED;
    int error = descriptor_close(fd);
    if (error)
        error_raise(L, error);
    return 0;
}

static int descriptor_method_dup(lua_State *L)
{
    const struct file_descriptor *object = self_open(L);
    struct file_descriptor *copy = file_descriptor_push(L);
    int error = descriptor_dup(object->fd, &copy->fd);
    if (error)
        error_raise(L, error);
    return 1;
}

static int descriptor_method_kind(lua_State *L)
{
    char text[64];
    int error = descriptor_describe(self_open(L)->fd, text, sizeof(text));
    if (error)
        error_raise(L, error);
    lua_pushstring(L, text);
    return 1;
}

static int get_native_handle(lua_State *L)
{
    lua_pushinteger(L, self_open(L)->fd);
    return 1;
}

static int descriptor_tostring(lua_State *L)
{
    const struct file_descriptor *object = class_check_self(L, &file_descriptor_class);
    if (object->fd >= 0)
        lua_pushfstring(L, "/dev/fd/%d", object->fd);
    else
        lua_pushfstring(L, "file_descriptor (%s)",
                        object->fd == DESCRIPTOR_TAKEN ? "taken" : "closed");
    return 1;
}

static int descriptor_gc(lua_State *L)
{
    struct file_descriptor *object = class_test(L, 1, &file_descriptor_class);
    if (!object)
        return 0;
    if (object->fd >= 0)
        descriptor_close(object->fd);
    object->fd = DESCRIPTOR_CLOSED;
    return 0;
}

/* ---- lists ---- */

static int get_element(lua_State *L, int arg, const char *name, lua_Integer i)
{
    char part[64];
    lua_rawgeti(L, arg, i);
    const struct file_descriptor *object = class_test(L, -1, &file_descriptor_class);
    if (!object || object->fd < 0)
        snprintf(part, sizeof(part), "%s[%lld]", name, (long long)i);
    if (!object)
        error_raise_part(L, arg, -1, part, "file_descriptor");
    if (object->fd < 0) {
        const char *words;
        int error = explain_absence(object, &words);
        error_raise_arg_detail(L, error, arg, part, "%s", words);
    }
    lua_pop(L, 1);
    return object->fd;
}

/* A hole leaves the length undecided, so it is the number of keys that counts. */
static void check_keys(lua_State *L, int arg, const char *name, size_t n)
{
    size_t n_keys = 0;
    for (lua_pushnil(L); lua_next(L, arg); lua_pop(L, 1))
        n_keys++;
    if (n_keys != n)
        error_raise_arg_detail(L, EINVAL, arg, name,
                               "a list has the keys 1 to n, and this has a hole or other keys");
}

void file_descriptor_check_list(lua_State *L, int arg, const char *name, struct thrum_fds *fds)
{
    if (!lua_istable(L, arg))
        error_raise_arg(L, EINVAL, arg, name, "list of file_descriptor");
    size_t n = lua_rawlen(L, arg);
    if (n > THRUM_MAX_FDS)
        error_raise_arg_detail(L, EINVAL, arg, name, "at most %d descriptors expected, got %zu",
                               THRUM_MAX_FDS, n);
    luaL_checkstack(L, 3, name);
    for (size_t i = 0; i < n; i++)
        fds->fds[i] = get_element(L, arg, name, (lua_Integer)i + 1);
    check_keys(L, arg, name, n);
    fds->n = n;
}

struct descriptor_list *descriptor_list_push(lua_State *L, size_t max)
{
    struct descriptor_list *list;
    size_t size = sizeof(*list) + max * sizeof(list->room[0]);
    list = class_new_object(L, &descriptor_list_class, size);
    list->fds = (struct thrum_fds){.fds = list->room, .max = max};
    return list;
}

int descriptor_list_copy(struct descriptor_list *list, const struct thrum_fds *fds)
{
    for (size_t i = 0; i < fds->n; i++) {
        int error = descriptor_dup(fds->fds[i], &list->room[i]);
        if (error) {
            thrum_fds_close(&list->fds);
            return error;
        }
        list->fds.n++;
    }
    return 0;
}

/* From the last to the first: what has an object leaves the list's end. */
void descriptor_list_push_objects(lua_State *L, struct descriptor_list *list)
{
    struct thrum_fds *fds = &list->fds;
    lua_createtable(L, (int)fds->n, 0);
    while (fds->n > 0) {
        struct file_descriptor *object = file_descriptor_push(L);
        object->fd = fds->fds[fds->n - 1];
        lua_rawseti(L, -2, (lua_Integer)fds->n);
        fds->n--;
    }
}

static int list_gc(lua_State *L)
{
    struct descriptor_list *list = class_test(L, 1, &descriptor_list_class);
    if (list)
        thrum_fds_close(&list->fds);
    return 0;
}

static const struct function_row list_metamethods[] = {{"__gc", list_gc}, {0}};

static const struct function_row methods[] = {{"close", descriptor_method_close},
                                              {"dup", descriptor_method_dup},
                                              {"kind", descriptor_method_kind},
                                              {0}};
static const struct property_row properties[] = {{"native_handle", get_native_handle, NULL}, {0}};
static const struct function_row metamethods[] = {
    {"__gc", descriptor_gc}, {"__tostring", descriptor_tostring}, {0}};

int file_descriptor_open(lua_State *L, struct runtime *runtime)
{
    struct class_state *state = class_get(L, runtime, &file_descriptor_class);
    class_open(L, state, &(struct class_rows){methods, properties, metamethods, NULL, NULL});
    class_open(L, class_get(L, runtime, &descriptor_list_class),
               &(struct class_rows){.metamethods = list_metamethods});
    lua_newtable(L);
    class_make_strict(L, state, NULL);
    return 1;
}
