/* SPDX-License-Identifier: BSL-1.0 */
/* thrum/lua.h in a C program: two states in two threads, and every way to end. Each case is a
 * function that starts from a new state. To be run under the thread sanitizer as well. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <lauxlib.h>
#include <lualib.h>

#include <thrum/lua.h>

#include "bind/fiber/runtime.h"

#define CHECK(condition) check(condition, #condition, __func__, __LINE__)

static void check(int is_true, const char *text, const char *where, int line)
{
    if (is_true)
        return;
    fprintf(stderr, "%s, line %d: not so: %s\n", where, line, text);
    exit(EXIT_FAILURE);
}

static lua_State *new_state(void)
{
    lua_State *L = luaL_newstate();
    CHECK(L != NULL);
    luaL_openlibs(L);
    luaL_requiref(L, "thrum", luaopen_thrum, 1);
    lua_pop(L, 1);
    return L;
}

static void run_chunk(lua_State *L, const char *chunk)
{
    if (luaL_dostring(L, chunk)) {
        fprintf(stderr, "%s\n%s\n", chunk, luaL_tolstring(L, -1, NULL));
        exit(EXIT_FAILURE);
    }
}

/* Push the function that the chunk returns. */
static void push_function(lua_State *L, const char *chunk)
{
    if (luaL_loadstring(L, chunk)) {
        fprintf(stderr, "%s\n", lua_tostring(L, -1));
        exit(EXIT_FAILURE);
    }
    lua_call(L, 0, 1);
}

static lua_Integer get_integer(lua_State *L, const char *name)
{
    lua_getglobal(L, name);
    lua_Integer value = lua_tointeger(L, -1);
    lua_pop(L, 1);
    return value;
}

/* ---- two threads ---- */

static const char echo[] =
    "local ip, byte_span, spawn = thrum.ip, thrum.byte_span, thrum.spawn\n"
    "return function(rounds)\n"
    "    local loopback = ip.address.loopback_v4()\n"
    "    local server, client = ip.udp.socket.new(), ip.udp.socket.new()\n"
    "    for _, sock in ipairs {server, client} do\n"
    "        sock:open('v4') sock:bind(loopback, 0) sock.timeout = 20\n"
    "    end\n"
    "    local service = spawn(function()\n"
    "        local buf = byte_span.new(64)\n"
    "        while true do\n"
    "            local n, addr, port = server:receive_from(buf)\n"
    "            server:send_to(buf:slice(1, n), addr, port)\n"
    "        end\n"
    "    end)\n"
    "    local buf = byte_span.new(64)\n"
    "    for i = 1, rounds do\n"
    "        client:send_to('round ' .. i, loopback, server.local_port)\n"
    "        local n = client:receive(buf)\n"
    "        assert(tostring(buf:slice(1, n)) == 'round ' .. i)\n"
    "        if i % 50 == 0 then thrum.time.sleep(0.0001) collectgarbage() end\n"
    "    end\n"
    "    assert(not pcall(ip.address.new, 'bad'))\n"
    "    service:interrupt() service:join()\n"
    "    n_done = rounds\n"
    "end\n";

static void *run_echo(void *argument)
{
    enum { ROUNDS = 500, TIMES = 3 };
    (void)argument;
    for (int i = 0; i < TIMES; i++) {
        lua_State *L = new_state();
        push_function(L, echo);
        lua_pushinteger(L, ROUNDS);
        thrum_spawn(L, 1);
        CHECK(thrum_is_busy(L));
        CHECK(thrum_run(L) == LUA_OK);
        CHECK(!thrum_is_busy(L));
        CHECK(get_integer(L, "n_done") == ROUNDS);
        CHECK(lua_gettop(L) == 1); /* the handle */
        thrum_close(L);
        lua_close(L);
    }
    return NULL;
}

static void two_states_in_two_threads(void)
{
    pthread_t threads[2];
    for (int i = 0; i < 2; i++)
        CHECK(pthread_create(&threads[i], NULL, run_echo, NULL) == 0);
    for (int i = 0; i < 2; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
}

/* ---- one state ---- */

static void spawn_takes_arguments_and_leaves_a_handle(void)
{
    lua_State *L = new_state();
    push_function(L, "return function(a, b) sum = a + b return sum end");
    lua_pushinteger(L, 3);
    lua_pushinteger(L, 4);
    thrum_spawn(L, 2);
    CHECK(lua_gettop(L) == 1);
    lua_setglobal(L, "handle");
    CHECK(get_integer(L, "sum") == 0); /* it begins in run or poll */
    CHECK(thrum_run(L) == LUA_OK);
    CHECK(get_integer(L, "sum") == 7);
    run_chunk(L, "assert(handle:join() == 7)");
    lua_close(L);
}

static int spawn_a_number(lua_State *L)
{
    lua_pushinteger(L, 1);
    thrum_spawn(L, 0);
    return 0;
}

static void spawn_raises_for_what_is_no_function(void)
{
    lua_State *L = new_state();
    lua_pushcfunction(L, spawn_a_number);
    CHECK(lua_pcall(L, 0, 0, 0) == LUA_ERRRUN);
    lua_close(L);
}

static void poll_does_not_wait(void)
{
    lua_State *L = new_state();
    CHECK(!thrum_is_busy(L));
    CHECK(thrum_poll(L) == LUA_OK);
    push_function(L, "return function() n = 1 thrum.time.sleep(0.01) n = 2 end");
    thrum_spawn(L, 0);
    CHECK(thrum_poll(L) == LUA_OK);
    CHECK(get_integer(L, "n") == 1);
    CHECK(thrum_is_busy(L));
    while (thrum_is_busy(L))
        CHECK(thrum_poll(L) == LUA_OK);
    CHECK(get_integer(L, "n") == 2);
    lua_close(L);
}

static void errors_come_out_of_run_without_a_reporter(void)
{
    lua_State *L = new_state();
    for (int with_poll = 0; with_poll < 2; with_poll++) {
        push_function(L, "return function() error('kaboom', 0) end");
        thrum_spawn(L, 0);
        lua_getfield(L, -1, "detach");
        lua_insert(L, -2);
        lua_call(L, 1, 0);
        CHECK((with_poll ? thrum_poll(L) : thrum_run(L)) == LUA_ERRRUN);
        CHECK(lua_gettop(L) == 1);
        CHECK(strcmp(lua_tostring(L, -1), "kaboom") == 0);
        lua_pop(L, 1);
    }
    CHECK(thrum_run(L) == LUA_OK);
    lua_close(L);
}

static void an_error_that_nobody_joins_comes_out_after_a_second(void)
{
    lua_State *L = new_state();
    run_chunk(L, "kept = thrum.spawn(function() error('kept', 0) end)");
    CHECK(thrum_run(L) == LUA_OK); /* somebody might still join it */
    int status = LUA_OK;
    for (int i = 0; i < 6000 && status == LUA_OK; i++) {
        run_chunk(L, "thrum.time.sleep(0.01)");
        status = thrum_poll(L);
    }
    CHECK(status == LUA_ERRRUN);
    CHECK(strcmp(lua_tostring(L, -1), "kept") == 0);
    lua_pop(L, 1);
    CHECK(thrum_run(L) == LUA_OK); /* once */
    run_chunk(L, "local ok, err = pcall(kept.join, kept) assert(not ok and err == 'kept')");
    lua_close(L);
}

static void a_reporter_takes_errors(void)
{
    lua_State *L = new_state();
    push_function(L, "return function(err, traceback) told = err .. '!' "
                     "assert(traceback:find('traceback')) end");
    thrum_set_reporter(L);
    CHECK(lua_gettop(L) == 0);
    run_chunk(L, "thrum.spawn(function() error('kaboom', 0) end):detach()");
    CHECK(thrum_run(L) == LUA_OK);
    run_chunk(L, "assert(told == 'kaboom!')");
    lua_pushnil(L);
    thrum_set_reporter(L);
    CHECK(lua_gettop(L) == 0);
    run_chunk(L, "thrum.spawn(function() error('again', 0) end):detach()");
    CHECK(thrum_run(L) == LUA_ERRRUN);
    lua_close(L);
}

static int run_inside(lua_State *L)
{
    int status = thrum_run(L);
    lua_pushinteger(L, status);
    return 1;
}

static void run_inside_a_fiber_is_an_error(void)
{
    lua_State *L = new_state();
    lua_register(L, "run_inside", run_inside);
    run_chunk(L, "thrum.run(function() status = run_inside() end)");
    CHECK(get_integer(L, "status") == LUA_ERRRUN);
    lua_close(L);
}

/* ---- ends ---- */

/* Waits of every kind, in fibers, in coroutines and with deadlines. */
static const char pending[] = "local ip, byte_span = thrum.ip, thrum.byte_span\n"
                              "sock = ip.udp.socket.new() sock:open('v4')\n"
                              "sock:bind(ip.address.loopback_v4(), 0) sock.timeout = 1000\n"
                              "fd = ip.udp.socket.new() fd:open('v4') fd = fd:release()\n"
                              "span, addr = byte_span.new(8), ip.address.new('fe80::1')\n"
                              "handles = {}\n"
                              "local function add(f) handles[#handles + 1] = thrum.spawn(f) end\n"
                              "for _ = 1, 5 do\n"
                              "    add(function() sock:receive(byte_span.new(100)) end)\n"
                              "    add(function() thrum.time.sleep(1000) end)\n"
                              "    add(function() handles[2]:join() end)\n"
                              "    add(function() thrum.coroutine.wrap(function() "
                              "sock:receive_from(byte_span.new(1)) end)()\n"
                              "    end)\n"
                              "    add(function() error('nobody joins me') end)\n"
                              "    add(function() return 'results' end)\n"
                              "end\n"
                              "thrum.poll()\n"
                              "add(function() end) -- never begins\n"
                              "main_address = tostring(sock.local_address)\n";

static const char after_close[] =
    "local function is_error(f, ...)\n"
    "    local ok, err = pcall(f, ...)\n"
    "    assert(not ok, 'no error')\n"
    "    assert(type(err) == 'table' and tostring(err), tostring(err))\n"
    "end\n"
    "assert(sock.is_open == false)\n"
    "is_error(sock.open, sock, 'v4')\n"
    "is_error(sock.bind, sock, addr, 0)\n"
    "is_error(sock.connect, sock, thrum.ip.address.loopback_v4(), 9)\n"
    "is_error(sock.receive, sock, span)\n"
    "is_error(sock.receive_from, sock, span)\n"
    "is_error(sock.send, sock, 'x')\n"
    "is_error(sock.send_to, sock, 'x', thrum.ip.address.loopback_v4(), 9)\n"
    "is_error(sock.cancel, sock)\n"
    "is_error(sock.shutdown, sock, 'both')\n"
    "is_error(sock.release, sock)\n"
    "is_error(sock.disconnect, sock)\n"
    "is_error(sock.get_option, sock, 'broadcast')\n"
    "is_error(sock.set_option, sock, 'broadcast', true)\n"
    "is_error(sock.io_control, sock, 'bytes_readable')\n"
    "is_error(function() return sock.local_port end)\n"
    "sock:close() tostring(sock)\n"
    "is_error(thrum.ip.udp.socket.new)\n"
    "is_error(sock.assign, sock, 'v4', fd)\n"
    "is_error(thrum.time.sleep, 0)\n"
    "is_error(thrum.this_fiber.yield)\n"
    "is_error(thrum.spawn, print)\n"
    "is_error(thrum.run, print)\n"
    "is_error(thrum.poll)\n"
    "for _, handle in ipairs(handles) do\n"
    "    is_error(handle.join, handle) handle:interrupt()\n"
    "    is_error(handle.detach, handle) tostring(handle) assert(handle.joinable == false)\n"
    "end\n"
    "assert(#span == 8 and tostring(addr) == 'fe80::1')\n"
    "assert(tostring(thrum.ip.address.new('10.0.0.1')) == '10.0.0.1')\n"
    "assert(#thrum.byte_span.new(5) == 5)\n"
    "assert(fd:kind() == 'udp v4') fd:close()\n"
    "local stats = thrum.stats()\n"
    "assert(stats.fibers == 0 and stats.operations == 0 and stats.objects == 0)\n"
    "collectgarbage() collectgarbage()\n";

static void objects_answer_with_errors_after_close(void)
{
    lua_State *L = new_state();
    run_chunk(L, pending);
    thrum_close(L);
    CHECK(!thrum_is_busy(L));
    run_chunk(L, after_close);
    CHECK(thrum_run(L) == LUA_ERRRUN);
    CHECK(thrum_poll(L) == LUA_ERRRUN);
    lua_settop(L, 0);
    thrum_close(L);
    lua_close(L);
}

static void closing_twice_is_quiet(void)
{
    lua_State *L = new_state();
    thrum_close(L);
    thrum_close(L);
    lua_close(L);
    L = luaL_newstate();
    thrum_close(L); /* never opened */
    lua_close(L);
}

static void lua_close_alone_is_enough(void)
{
    lua_State *L = new_state();
    run_chunk(L, pending);
    lua_close(L);
}

/* Finalizers that use what is being finalized, in whatever order: made before and after. What they
 * make anew, Lua 5.3 does not finalize any more: a socket made here would be lost with the state.
 */
static void finalizers_meddle_while_the_state_closes(void)
{
    static const char meddle[] =
        "keep = keep or {}\n"
        "for _ = 1, 3 do\n"
        "    keep[#keep + 1] = setmetatable({}, {__gc = function()\n"
        "        pcall(sock.cancel, sock) pcall(sock.close, sock)\n"
        "        pcall(function() for _, handle in ipairs(handles) do pcall(handle.interrupt, "
        "handle)\n"
        "            pcall(handle.detach, handle) end end)\n"
        "        pcall(fd.close, fd) pcall(tostring, sock) pcall(tostring, addr)\n"
        "        pcall(thrum.spawn, print) pcall(thrum.stats)\n"
        "        pcall(thrum.ip.address.new, '10.0.0.2')\n"
        "    end})\n"
        "end\n";
    lua_State *L = new_state();
    run_chunk(L, meddle);
    run_chunk(L, pending);
    run_chunk(L, meddle);
    lua_close(L);
}

/* Whose finalizer was there before thrum's runs after it: the fiber that received is no more. */
static void a_finalizer_meddles_with_dgram_when_all_is_over(void)
{
    lua_State *L = luaL_newstate();
    luaL_openlibs(L);
    run_chunk(L, "last = setmetatable({}, {__gc = function()\n"
                 "    for _, name in ipairs {'unref', 'ref', 'recvStop', 'recvStart', 'close'} do\n"
                 "        pcall(sock[name], sock)\n"
                 "    end\n"
                 "end})\n");
    luaL_requiref(L, "thrum", luaopen_thrum, 1);
    lua_settop(L, 0);
    run_chunk(L, "sock = thrum.dgram.createSocket 'udp4' sock:bind(0, '127.0.0.1')\n"
                 "thrum.poll() thrum.poll() assert(thrum.stats().operations == 1)");
    lua_close(L);
}

static void a_state_is_opened_again_by_require_alone(void)
{
    lua_State *L = luaL_newstate();
    luaL_openlibs(L);
    luaL_requiref(L, "thrum.ip", luaopen_thrum_ip, 0);
    luaL_requiref(L, "thrum.time", luaopen_thrum_time, 0);
    luaL_requiref(L, "thrum", luaopen_thrum, 1);
    lua_settop(L, 0);
    run_chunk(L, "assert(thrum.ip == require 'thrum.ip' and thrum.time == require 'thrum.time')");
    lua_close(L);
}

/* The thread sanitizer keeps a stack of its own, which Lua's jumps do not take down: it has room
 * for some ten thousand yields. */
#ifdef __SANITIZE_THREAD__
#define ROUNDS "300"
#else
#define ROUNDS "30000"
#endif

/* Seen: a stack overflow. A select outside any fiber waited again inside the wait before, each time
 * that a fiber was faster to take what had come. A compiler may spare the stack that, and with
 * sanitizers none does. */
static const char addresses[] =
    "local new, kept = thrum.ip.address.new, {}\n"
    "for round = 1, 3 do\n"
    "    for i = 1, 300 do\n"
    "        local text = i % 3 == 0 and '10.0.0.' .. i % 256 or '2001:db8::' .. i .. (i % 3 == 1\n"
    "            and '%7' or '')\n"
    "        local address = new(text)\n"
    "        assert(tostring(address) == tostring(new(text)), text)\n"
    "        assert(rawequal(address, new(text)) and rawequal(address, kept[text] or address))\n"
    "        kept[text] = (i + round) % 2 == 0 and address or nil\n"
    "    end\n"
    "    collectgarbage()\n"
    "end\n"
    "for text, address in pairs(kept) do assert(rawequal(address, new(text)), text) end\n";

static struct runtime *find_runtime(lua_State *L)
{
    struct runtime *runtime = runtime_find(L);
    CHECK(runtime != NULL);
    return runtime;
}

/* With factors of nothing every address has the same key. */
static void addresses_of_one_key_are_told_apart(void)
{
    lua_State *L = new_state();
    struct runtime *runtime = find_runtime(L);
    memset(runtime->values.address_secrets, 0, sizeof(runtime->values.address_secrets));
    run_chunk(L, addresses);
    CHECK(runtime->values.has_long_keys);
    lua_close(L);
}

static void each_state_has_secrets_of_its_own(void)
{
    lua_State *a = new_state(), *b = new_state();
    const uint64_t *of_a = find_runtime(a)->values.address_secrets,
                   *of_b = find_runtime(b)->values.address_secrets;
    for (size_t i = 0; i < sizeof(find_runtime(a)->values.address_secrets) / sizeof(*of_a); i++)
        CHECK(of_a[i] != 0 && of_a[i] != of_b[i]);
    run_chunk(a, addresses);
    CHECK(!find_runtime(a)->values.has_long_keys);
    lua_close(a);
    lua_close(b);
}

static void *select_beside_others(void *unused)
{
    static const char chunk[] =
        "local socket, yield, n = thrum.socket, thrum.this_fiber.yield, 0\n"
        "local busy, quiet, sender = socket.udp4(), socket.udp4(), socket.udp4()\n"
        "busy:setsockname('127.0.0.1', 0) quiet:setsockname('127.0.0.1', 0)\n"
        "local function send(to)\n"
        "    local _, port = to:getsockname() sender:sendto('x', '127.0.0.1', port)\n"
        "end\n"
        "thrum.spawn(function() while busy:receive() do n = n + 1 end end):detach()\n"
        "thrum.spawn(function()\n"
        "    for _ = 1, " ROUNDS " do send(busy) yield() yield() end\n"
        "    send(quiet)\n"
        "end):detach()\n"
        "local ready = socket.select({busy, quiet}, nil, 60)\n"
        "assert(#ready == 1 and ready[1] == quiet and n == " ROUNDS ")\n"
        "busy:close() quiet:close() sender:close() thrum.run()\n";
    lua_State *L = new_state();
    run_chunk(L, chunk);
    lua_close(L);
    return unused;
}

static void a_select_outside_waits_as_often_as_others_are_faster(void)
{
    enum { STACK_SIZE = 1 << 19 };
    pthread_attr_t attributes;
    pthread_t thread;
    pthread_attr_init(&attributes);
    CHECK(pthread_attr_setstacksize(&attributes, STACK_SIZE) == 0);
    CHECK(pthread_create(&thread, &attributes, select_beside_others, NULL) == 0);
    pthread_join(thread, NULL);
    pthread_attr_destroy(&attributes);
}

int main(void)
{
    static void (*const cases[])(void) = {
        spawn_takes_arguments_and_leaves_a_handle,
        spawn_raises_for_what_is_no_function,
        poll_does_not_wait,
        errors_come_out_of_run_without_a_reporter,
        an_error_that_nobody_joins_comes_out_after_a_second,
        a_reporter_takes_errors,
        run_inside_a_fiber_is_an_error,
        objects_answer_with_errors_after_close,
        closing_twice_is_quiet,
        lua_close_alone_is_enough,
        finalizers_meddle_while_the_state_closes,
        a_finalizer_meddles_with_dgram_when_all_is_over,
        a_state_is_opened_again_by_require_alone,
        two_states_in_two_threads,
        a_select_outside_waits_as_often_as_others_are_faster,
        addresses_of_one_key_are_told_apart,
        each_state_has_secrets_of_its_own,
    };
    size_t count = sizeof(cases) / sizeof(cases[0]);
    for (size_t i = 0; i < count; i++)
        cases[i]();
    printf("%zu passed, 0 failed\n", count); /* a case that fails ends the program */
    return EXIT_SUCCESS;
}
