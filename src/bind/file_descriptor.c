/* SPDX-License-Identifier: BSL-1.0 */
/* file_descriptor: close, dup, what it is. */
#include "bind/file_descriptor.h"

#include <errno.h>

#include <lauxlib.h>

#include "base/descriptor.h"
#include "bind/error.h"
#include "bind/modules.h"
#include "bind/noun.h"
#include "bind/runtime.h"

struct file_descriptor *file_descriptor_push(lua_State *L, struct runtime *runtime)
{
    struct file_descriptor *object = lua_newuserdata(L, sizeof(*object));
    *object = (struct file_descriptor){{&noun_kinds[NOUN_FILE_DESCRIPTOR]}, DESCRIPTOR_CLOSED};
    noun_push_metatable(L, &runtime->nouns[NOUN_FILE_DESCRIPTOR]);
    lua_setmetatable(L, -2);
    return object;
}

static void check_open(lua_State *L, const struct file_descriptor *object)
{
    if (object->fd == DESCRIPTOR_TAKEN)
        error_raise_detail(L, EBUSY, "its descriptor has been taken over by a socket");
    if (object->fd < 0)
        error_raise_detail(L, EBADF, "it is closed");
}

struct file_descriptor *file_descriptor_check_open(lua_State *L, int arg, const char *name)
{
    struct file_descriptor *object = noun_check(L, arg, NOUN_FILE_DESCRIPTOR, name);
    check_open(L, object);
    return object;
}

static struct file_descriptor *self_open(lua_State *L)
{
    struct file_descriptor *object = noun_check_self(L, NOUN_FILE_DESCRIPTOR);
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
    struct file_descriptor *copy = file_descriptor_push(L, noun_runtime(L));
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
    const struct file_descriptor *object = noun_check_self(L, NOUN_FILE_DESCRIPTOR);
    if (object->fd >= 0)
        lua_pushfstring(L, "/dev/fd/%d", object->fd);
    else
        lua_pushfstring(L, "file_descriptor (%s)",
                        object->fd == DESCRIPTOR_TAKEN ? "taken" : "closed");
    return 1;
}

static int descriptor_gc(lua_State *L)
{
    struct file_descriptor *object = noun_test(L, 1, NOUN_FILE_DESCRIPTOR);
    if (!object)
        return 0;
    if (object->fd >= 0)
        descriptor_close(object->fd);
    object->fd = DESCRIPTOR_CLOSED;
    return 0;
}

static const struct function_row methods[] = {{"close", descriptor_method_close},
                                              {"dup", descriptor_method_dup},
                                              {"kind", descriptor_method_kind},
                                              {0}};
static const struct property_row properties[] = {{"native_handle", get_native_handle, NULL}, {0}};
static const struct function_row metamethods[] = {
    {"__gc", descriptor_gc}, {"__tostring", descriptor_tostring}, {0}};

int file_descriptor_open(lua_State *L, struct runtime *runtime)
{
    struct noun *noun = &runtime->nouns[NOUN_FILE_DESCRIPTOR];
    noun_open_class(L, noun, &(struct class_rows){methods, properties, metamethods, NULL, NULL});
    lua_newtable(L);
    noun_make_strict(L, noun, NULL);
    return 1;
}
