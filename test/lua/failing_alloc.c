/* SPDX-License-Identifier: BSL-1.0 */
/* Memory that runs out: each scenario is run with the n-th allocation and all later ones failing,
 * n = 1, 2, 3 ... until it passes. Each failure must be a clean Lua error, with nothing left behind
 * once memory is there again; and in the end every byte has been given back.
 *
 * All later ones, because Lua collects and tries again when one allocation fails. */
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <lauxlib.h>
#include <lualib.h>

#include <thrum/lua.h>

struct pool {
    size_t bytes;   /* given out */
    long remaining; /* allocations until the first that fails; negative: none fails */
    bool has_failed;
};

static void *allocate(void *opaque, void *block, size_t old_size, size_t new_size)
{
    struct pool *pool = opaque;
    if (!block)
        old_size = 0; /* Lua tells a type there */
    if (new_size == 0) {
        free(block);
        pool->bytes -= old_size;
        return NULL;
    }
    if (new_size > old_size && pool->remaining >= 0) {
        if (pool->remaining == 0) {
            pool->has_failed = true;
            return NULL;
        }
        pool->remaining--;
    }
    void *moved = realloc(block, new_size);
    if (moved)
        pool->bytes += new_size - old_size;
    return moved;
}

static int n_failures;

static void fail(const char *scenario, long n, const char *what)
{
    fprintf(stderr, "%s, allocation %ld: %s\n", scenario, n, what);
    n_failures++;
}

/* ---- what is run ---- */

static const struct {
    const char *name;
    const char *chunk;
} scenarios[] = {
    {"byte_span.new", "return #byte_span.new(100, 200)"},
    {"byte_span.new, large", "return #byte_span.new(1 << 21)"},
    {"byte_span.slice", "local s = byte_span.new(8) return tostring(s:slice(2, 5):slice(1, 2))"},
    {"byte_span.append",
     "return #byte_span.append(byte_span.new(8), 'more', byte_span.new(100)):append('x')"},
    {"byte_span.hex", "return byte_span.new(3000):hex()"},
    {"ip.address", "return tostring(ip.address.new('192.0.2.' .. number % 250))"},
    {"ip.address v6",
     "return tostring(ip.address.new('2001:db8::' .. number):with_scope_id('lo'):to_bytes())"},
    {"ip.network", "return tostring(ip.network.new('10.' .. number % 250 .. '.0.0/16').broadcast)"},
    {"ip.toendpoint", "return ip.tostring(ip.toendpoint('[2001:db8::' .. number .. ']:53'))"},
    {"socket", "return tostring(ip.udp.socket.new())"},
    {"socket, opened",
     "local s = ip.udp.socket.new() s:open('v4') s:bind('127.0.0.1', 0) "
     "s:set_option('broadcast', true) return s:get_option('mtu_discover'), s.local_address"},
    {"socket, released",
     "local s = ip.udp.socket.new() s:open('v4') local fd = s:release():dup() s:assign('v4', fd)"},
    {"unix, opened",
     "local s = unix.datagram.socket.new() s:open() s:bind('\\0thrum-alloc-' .. number) "
     "return tostring(s), s.local_path, pcall(s.send_to, s, 'x', '\\0thrum-none-' .. number)"},
    {"unix, bad paths",
     "local s = unix.stream.socket.new() local ok, err = pcall(s.connect, s, 'a\\0b') "
     "local ok, far = pcall(s.connect, s, ('x'):rep(200)) "
     "return tostring(err), tostring(far), select(2, pcall(s.connect, s, '/nowhere/' .. number))"},
    {"unix, the wrong kind",
     "local a, b = unix.stream.socket.pair() local fd = a:release() "
     "local s = unix.seqpacket.acceptor.new() local ok, err = pcall(s.assign, s, fd) "
     "return tostring(err), fd:kind(), a:assign(fd)"},
    {"unix, accepted",
     "local l = unix.stream.acceptor.new() l:open() l:bind('') l:listen() "
     "local c = unix.stream.socket.new() c:connect(l.local_path) local s = l:accept() "
     "return s:remote_credentials()"},
    {"unix, accepted by a fiber",
     "return thrum.run(function() local l = unix.stream.acceptor.new() l:open() l:bind('') "
     "l:listen() l.timeout = 0.2 local f = thrum.spawn(l.accept, l) thrum.this_fiber.yield() "
     "local c = unix.stream.socket.new() c.timeout = 0.2 c:connect(l.local_path) "
     "return f:join().is_open end)"},
    {"descriptors",
     "local a, b = unix.seqpacket.socket.pair() local c, d = unix.stream.socket.pair() "
     "local fds = {c:release(), d:release()} a:send_with_fds({'x', 'y'}, fds) b.timeout = 0.2 "
     "local n, came = b:receive_with_fds(byte_span.new(8), 4) return #came, came[2]:kind()"},
    {"descriptors, too many",
     "local a, b = unix.stream.socket.pair() local fd = unix.stream.socket.pair():release() "
     "a:send_with_fds('x', {fd, fd, fd}) b.timeout = 0.2 "
     "local ok, err = pcall(b.receive_with_fds, b, byte_span.new(8), 2) return tostring(err)"},
    {"descriptors, a bad list",
     "local a, b = unix.stream.socket.pair() local fd = b:release() "
     "local ok, err = pcall(a.send_with_fds, a, 'x', {fd, a}) return tostring(err)"},
    {"descriptors, waited for",
     "return thrum.run(function() local a, b = unix.datagram.socket.pair() "
     "local fd = unix.stream.socket.pair():release() b.timeout = 0.2 "
     "local f = thrum.spawn(b.receive_from_with_fds, b, byte_span.new(8), 4) "
     "thrum.this_fiber.yield() a:send_with_fds('x', {fd, fd}) "
     "local n, path, fds = f:join() return #fds end)"},
    {"descriptors, sent when there is room",
     "return thrum.run(function() local a, b = unix.datagram.socket.pair() "
     "local fd = unix.stream.socket.pair():release() a.timeout = 0 "
     "repeat until not pcall(a.send, a, 'x') a.timeout = 0.2 "
     "local f = thrum.spawn(a.send_with_fds, a, 'y', {fd, fd}) thrum.this_fiber.yield() "
     "fd:close() b.timeout = 0.2 local s, fds = byte_span.new(1) "
     "repeat local n n, fds = b:receive_with_fds(s, 2) until tostring(s) == 'y' "
     "return #fds, f:join() end)"},
    {"datagrams",
     "local s = ip.udp.socket.new() s:open('v4') s:bind('127.0.0.1', 0) s.timeout = 5 "
     "local b = byte_span.new(16) "
     "for i = 1, 3 do s:send_to({'a', 'b', b}, s.local_address, s.local_port) "
     "  s:receive_from(b, ip.message_flag.truncate) end return s:receive_from(b, 0, pcall("
     "s.send_to, s, 'x', s.local_address, s.local_port))"},
    {"waits",
     "return thrum.run(function() local s = ip.udp.socket.new() s:open('v4') "
     "s:bind('127.0.0.1', 0) s.timeout = 5 local b = byte_span.new(16) "
     "local f = thrum.spawn(function() return s:receive_from(b) end) thrum.this_fiber.yield() "
     "s:send_to('x', s.local_address, s.local_port) thrum.time.sleep(0) return f:join() end)"},
    {"stream",
     "local a, b = unix.stream.socket.pair() local s, n = thrum.stream, 0 b.timeout = 0.2 "
     "s.write_all(a, {'one\\r\\ntwo--', ('x'):rep(9000), '\\n', 'last'}) a:close() "
     "local r = s.reader(b) n = #r:line() + #r:read_until('--') + #r:line() "
     "return n, r:all(), pcall(r.exactly, r, 3)"},
    {"stream, waited for",
     "return thrum.run(function() local a, b = unix.stream.socket.pair() b.timeout = 0.2 "
     "local f = thrum.spawn(function() local r = thrum.stream.reader(b) return r:line() end) "
     "thrum.this_fiber.yield() a:write_some('li') thrum.this_fiber.yield() a:write_some('ne\\n') "
     "return f:join() end)"},
    {"stream, a reader that is kept",
     "if not kept_reader then local piece = ('x'):rep(10000) kept_reader = thrum.stream.reader("
     "{read_some = function(_, b) return b:copy(piece) end}) end "
     "return #kept_reader:exactly(100000)"},
    {"stream, of one's own",
     "local own, n = {}, 0 function own:read_some(b) n = n + 1 return b:copy('x') end "
     "local r = thrum.stream.reader(own) return r:exactly(10), "
     "pcall(thrum.stream.write_all, {write_some = error}, 'x')"},
    {"spawn", "local f = thrum.spawn(function(...) return ... end, 1, 2, 3) return f:join()"},
    {"spawn, many",
     "return thrum.run(function() local fs = {} for i = 1, 20 do "
     "fs[i] = thrum.spawn(function() thrum.this_fiber.local_.x = i thrum.this_fiber.yield() "
     "return i end) end local sum = 0 for i = 1, 20 do sum = sum + fs[i]:join() end "
     "return sum end)"},
    {"spawn, failing",
     "return thrum.run(function() local f = thrum.spawn(function() error('x', 0) end) "
     "return pcall(f.join, f) end)"},
    {"group", "return thrum.run(function() local g = thrum.fiber.group() for i = 1, 5 do "
              "g:spawn(thrum.time.sleep, 0) end return g:join() end)"},
    {"group with a function",
     "return thrum.run(function() return thrum.fiber.group(function(g) local fs = {} "
     "for i = 1, 5 do fs[i] = g:spawn(function() thrum.time.sleep(0) return i end) end "
     "return fs[1]:join() + fs[5]:join() end) end)"},
    {"group, failing", "return thrum.run(function() return pcall(thrum.fiber.group, function(g) "
                       "g:spawn(function() error('x', 0) end) g:spawn(thrum.time.sleep, 3600) "
                       "thrum.time.sleep(3600) end) end)"},
    {"spawn, with a cleanup handler",
     "return thrum.run(function() local f = thrum.spawn(function() "
     "thrum.scope_cleanup_push(function() end) thrum.time.sleep(0) error('x', 0) end) "
     "return pcall(f.join, f) end)"},
    {"spawn, detached", "return thrum.run(function() thrum.spawn(error, 'x', 0):detach() end)"},
    {"channel",
     "return thrum.run(function() return thrum.fiber.group(function(g) "
     "local ch = thrum.channel.new(3) for i = 1, 6 do "
     "g:spawn(function() for k = 1, 4 do ch:send(k) end end) end local sum = 0 "
     "for i = 1, 24 do sum = sum + ch:receive() end assert(sum == 60) return sum end) end)"},
    {"channel without a buffer",
     "return thrum.run(function() return thrum.fiber.group(function(g) "
     "local ch = thrum.channel.new() local f = g:spawn(function() local sum = 0 "
     "for v in ch:values() do sum = sum + v end return sum end) "
     "for i = 1, 9 do ch:send(i) end ch:close() return f:join() end) end)"},
    {"select",
     "return thrum.run(function() return thrum.fiber.group(function(g) "
     "local a, b = thrum.channel.new(), thrum.channel.new() local f = g:spawn(function() "
     "local sum = 0 for i = 1, 4 do local n, v = thrum.fiber.select{a, {b, i}, timeout = 60} "
     "sum = sum + (v or 0) end return sum end) for i = 1, 2 do a:send(i) b:receive() end "
     "return f:join() end) end)"},
    {"coroutines",
     "return thrum.run(function() return thrum.coroutine.wrap(function() "
     "thrum.time.sleep(0) return thrum.coroutine.wrap(function() thrum.this_fiber.yield() "
     "thrum.coroutine.yield(1) end)() end)() end)"},
    {"lookup, numeric",
     "local flag = ip.address_info_flag "
     "return ip.udp.get_address_info('::1', 53, flag.canonical_name)[1].canonical_name"},
    {"lookup", /* not every machine knows the name */
     "return select(2, pcall(ip.tcp.get_address_v4_info, 'localhost', 80))"},
    {"lookup, in vain", "return select(2, pcall(ip.udp.get_address_info, '::1', 'no-such'))"},
    {"names", "return ip.tcp.get_name_info('127.0.0.1', 80)[1].host_name"},
    {"system.spawn",
     "local s = ip.udp.socket.new() s:open('v4') local fd = s:release() "
     "local p = thrum.system.spawn{program = 'true', arguments = {'true', 'x'}, stdin = fd, "
     "environment = {A = 'b', C = 'd'}, extra_fds = {[3] = fd, [7] = fd}} "
     "return p:wait().code, tostring(p)"},
    {"system.spawn, failing", "return tostring(select(2, pcall(thrum.system.spawn, "
                              "{program = 'no-such-program', working_directory = '/'})))"},
    {"a module written in Lua",
     "return thrum.emitter.new():on('x', tostring):once('x', error):removeListener('x', error), "
     "pcall(thrum.emitter.new().on, 1)"},
    {"dgram", "local s = thrum.dgram.createSocket{type = 'udp4', reuseAddr = true} s:setTTL(3) "
              "s:on('close', function() end) pcall(s.send, s) s:close() return thrum.run()"},
    {"dgram, traffic", "local dgram, host, n = thrum.dgram, '127.0.0.1', 0 "
                       "local a, b = dgram.createSocket():unref(), dgram.createSocket():unref() "
                       "finish = function() a:close() b:close() end "
                       "thrum.run(function() a:bind(0, host) b:bind(0, host) "
                       "a:on('message', function(msg, from) a:send(msg, from.port, from.ip) end) "
                       "b:on('message', function() n = n + 1 end) "
                       "for i = 1, 4 do b:send('x', a:address().port, host) end "
                       "b:send({'x', 'y'}, a:address().port, function() end) "
                       "for i = 1, 100 do if n < 5 then thrum.time.sleep(0.0002) end end end) "
                       "assert(n == 5 or number < 5000, n)"},
    {"dgram, names",
     "local dgram, host, n, port = thrum.dgram, '127.0.0.1', 0 "
     "local a = dgram.createSocket():unref() "
     "local b = dgram.createSocket{type = 'udp4', sendQueueCount = 3, "
     "lookup = function(name) return host end} "
     "finish = function() a:close() b:close() end "
     "thrum.run(function() a:bind(0, host) port = a:address().port "
     "a:on('message', function() n = n + 1 end) b:bind(0, 'a.name') b:recvStop() "
     "b:on('error', function() end) "
     "for i = 1, 2 do b:send('x', port, host) end b:send('y', port, 'a.name', function() end) "
     "b:send('z', port, 'a.name') b:once('drain', function() b:send('x', port, host) end) "
     "for i = 1, 100 do if n < 4 then thrum.time.sleep(0.0002) end end b:close() end) "
     "assert(n == 4 or number < 5000, n)"},
    /* Seen: with no memory for the fiber that takes a dead one's place, nobody received any more.
     */
    {"dgram, listeners that raise",
     "local dgram, host, is_ready, is_heard = thrum.dgram, '127.0.0.1' "
     "local a, b = dgram.createSocket():unref(), dgram.createSocket():unref() "
     "finish = function() if is_ready then a:removeAllListeners('message') "
     "a:on('message', function() is_heard = true end) b:send('y', a:address().port, host) "
     "for i = 1, 1000 do if not is_heard then pcall(thrum.poll) end end "
     "if not is_heard then error('it stays deaf') end end a:close() b:close() end "
     "a:bind(0, host) b:bind(0, host) is_ready = true "
     "a:on('message', function() error('x', 0) end) "
     "for i = 1, 3 do b:send('x', a:address().port, host) end "
     "for i = 1, 12 do pcall(thrum.poll) end"},
    {"socket, a stream",
     "local s = thrum.socket local l = s.bind('127.0.0.1', 0) local _, port = l:getsockname() "
     "local c = s.connect('127.0.0.1', port) local a = l:accept() a:settimeout(0.5) "
     "c:send('line\\r\\n' .. ('x'):rep(9000)) c:setoption('linger', {on = true, timeout = 1}) "
     "local line, block = a:receive('*l', 'a '), a:receive(9000) l:close() c:close() "
     "return line, #block, a:receive('*a'), a:close()"},
    {"socket, waits",
     "return thrum.run(function() local s = thrum.socket local a, b = s.udp4(), s.udp() "
     "a:setsockname('127.0.0.1', 0) local ip, port = a:getsockname() a:settimeout(5) "
     "local f = thrum.spawn(function() return a:receivefrom() end) "
     "local g = thrum.spawn(function() return s.select({a}, {}, 5) end) "
     "thrum.this_fiber.yield() b:sendto('x', ip, port) b:sendto('y', ip, port) "
     "local result = f:join() g:join() a:close() b:close() return result end)"},
    {"socket, exceptions",
     "local s = thrum.socket local try = s.newtry(function() end) "
     "return s.protect(function() try(1) try(nil, 'x') end)(), s.dns.getaddrinfo('::1')[1].addr"},
    {"errors",
     "local ok, err = pcall(ip.address.new, 'bad') return tostring(err), err:togeneric(), "
     "thrum.generic_error.EPERM"},
};
enum { N_SCENARIOS = sizeof(scenarios) / sizeof(scenarios[0]) };

/* ---- one state ---- */

static int open_all(lua_State *L)
{
    luaL_requiref(L, "thrum", luaopen_thrum, 1);
    lua_getfield(L, -1, "ip");
    lua_setglobal(L, "ip");
    lua_getfield(L, -1, "byte_span");
    lua_setglobal(L, "byte_span");
    lua_getfield(L, -1, "unix");
    lua_setglobal(L, "unix");
    lua_getfield(L, -1, "dgram"); /* modules written in Lua are loaded here */
    lua_getfield(L, -2, "socket");
    return 0;
}

/* Memory ran out: Lua's own error, or an error object of the code ENOMEM. */
static bool is_clean(lua_State *L, int status)
{
    if (status == LUA_ERRMEM)
        return true;
    if (lua_type(L, -1) == LUA_TSTRING)
        return strstr(lua_tostring(L, -1), "memory") != NULL;
    const char *text = luaL_tolstring(L, -1, NULL);
    bool is_memory = strstr(text, "memory") != NULL;
    lua_pop(L, 1);
    return is_memory;
}

/* What is alive after two collections and after everybody who can has run. Runs in protected mode.
 */
static int count_left(lua_State *L)
{
    static const char chunk[] =
        "for _ = 1, 3 do "
        "collectgarbage() repeat until pcall(thrum.run) repeat until pcall(thrum.poll) "
        "collectgarbage() end "
        "local stats = thrum.stats() return stats.fibers, stats.operations, stats.objects";
    if (luaL_dostring(L, chunk))
        return lua_error(L);
    return 3;
}

struct left {
    lua_Integer fibers, operations, objects, descriptors;
};

static lua_Integer count_descriptors(void)
{
    lua_Integer count = 0;
    for (int fd = 0; fd < 256; fd++)
        count += fcntl(fd, F_GETFD) != -1;
    return count;
}

static struct left get_left(lua_State *L)
{
    struct left left = {-1, -1, -1, -1};
    lua_pushcfunction(L, count_left);
    if (lua_pcall(L, 0, 3, 0) == LUA_OK) {
        left = (struct left){lua_tointeger(L, -3), lua_tointeger(L, -2), lua_tointeger(L, -1),
                             count_descriptors()};
        lua_pop(L, 3);
    } else {
        fprintf(stderr, "counting: %s\n", lua_tostring(L, -1));
        lua_pop(L, 1);
    }
    return left;
}

static void compare_left(struct left before, struct left now, const char *scenario, long n)
{
    char what[200];
    if (memcmp(&before, &now, sizeof(now)) == 0)
        return;
    snprintf(what, sizeof(what),
             "left behind: %lld fibers, %lld operations, %lld objects, %lld descriptors; "
             "before %lld, %lld, %lld, %lld",
             (long long)now.fibers, (long long)now.operations, (long long)now.objects,
             (long long)now.descriptors, (long long)before.fibers, (long long)before.operations,
             (long long)before.objects, (long long)before.descriptors);
    fail(scenario, n, what);
}

/* A scenario may leave a function `finish` for what it cannot end itself without memory. */
static void finish(lua_State *L, const char *name, long n)
{
    if (luaL_dostring(L, "local f = finish finish = nil if f then f() end"))
        fail(name, n, luaL_tolstring(L, -1, NULL));
}

/* Run the chunk with the n-th allocation failing. True when it passed. */
static bool attempt(lua_State *L, struct pool *pool, int index, long n)
{
    const char *name = scenarios[index].name;
    lua_pushinteger(L, n);
    lua_setglobal(L, "number");
    if (luaL_loadstring(L, scenarios[index].chunk)) {
        fail(name, n, lua_tostring(L, -1));
        lua_settop(L, 0);
        return true;
    }
    pool->has_failed = false;
    pool->remaining = n - 1;
    int status = lua_pcall(L, 0, LUA_MULTRET, 0);
    pool->remaining = -1;
    bool is_done = !pool->has_failed;
    if (status && is_done && strstr(name, "detached") == NULL)
        fail(name, n, luaL_tolstring(L, -1, NULL));
    else if (status && !is_done && !is_clean(L, status) && strcmp(lua_tostring(L, -1), "x") != 0)
        fail(name, n, luaL_tolstring(L, -1, NULL));
    finish(L, name, n);
    lua_settop(L, 0);
    return is_done;
}

static long run_scenario(int index)
{
    enum { LIMIT = 5000 };
    struct pool pool = {.remaining = -1};
    lua_State *L = lua_newstate(allocate, &pool);
    luaL_openlibs(L);
    open_all(L);
    lua_settop(L, 0);
    attempt(L, &pool, index, LIMIT); /* what is made once and kept */
    struct left before = get_left(L);
    long n = 1;
    while (n < LIMIT && !attempt(L, &pool, index, n)) {
        compare_left(before, get_left(L), scenarios[index].name, n);
        n++;
    }
    if (n == LIMIT)
        fail(scenarios[index].name, n, "never passes");
    lua_close(L);
    if (pool.bytes != 0)
        fail(scenarios[index].name, n, "memory was not given back");
    return n;
}

/* Opening the library itself, in a new state each time. What comes after the first MANY is the text
 * of a long module being compiled: there some have to do. */
static long run_opening(void)
{
    enum { MANY = 2000, STEP = 7 };
    for (long n = 1;; n += n < MANY ? 1 : STEP) {
        struct pool pool = {.remaining = -1};
        lua_State *L = lua_newstate(allocate, &pool);
        luaL_openlibs(L);
        lua_pushcfunction(L, open_all);
        pool.remaining = n - 1;
        int status = lua_pcall(L, 0, 0, 0);
        pool.remaining = -1;
        if (status && !is_clean(L, status))
            fail("opening", n, luaL_tolstring(L, -1, NULL));
        lua_settop(L, 0);
        if (status) { /* with memory again it can be opened, unless it was half made */
            lua_pushcfunction(L, open_all);
            if (lua_pcall(L, 0, 0, 0))
                fail("opening again", n, luaL_tolstring(L, -1, NULL));
        }
        lua_close(L);
        if (pool.bytes != 0)
            fail("opening", n, "memory was not given back");
        if (!pool.has_failed)
            return n;
    }
}

/* A state that closes in the middle of what fibers do. */
static void run_closing(void)
{
    static const char chunk[] =
        "local fiber, channel, time = thrum.fiber, thrum.channel, thrum.time "
        "local ch, other, other2 = channel.new(), channel.new(), channel.new() "
        "local function stuck() thrum.this_fiber.disable_interruption() ch:receive() end "
        "local function failing() error('x', 0) end "
        "local joined, kept, dropped = fiber.group(), fiber.group(), fiber.group() "
        "joined:spawn(stuck) joined:spawn(failing) thrum.spawn(joined.join, joined) "
        "kept:spawn(stuck) kept:spawn(failing) "
        "dropped:spawn(stuck) dropped:spawn(failing) dropped = nil "
        "thrum.spawn(fiber.group, function(g) g:spawn(stuck) g:spawn(failing) stuck() end) "
        "local watched = thrum.spawn(stuck) "
        "for i = 1, 3 do thrum.spawn(fiber.select, {other, {other2, {}}, watched, timeout = 60}) "
        "end "
        "for _ = 1, 6 do pcall(thrum.poll) collectgarbage() end "
        "assert(thrum.stats().fibers > 5)";
    struct pool pool = {.remaining = -1};
    lua_State *L = lua_newstate(allocate, &pool);
    luaL_openlibs(L);
    open_all(L);
    if (luaL_dostring(L, chunk))
        fail("closing", 0, lua_tostring(L, -1));
    lua_close(L);
    if (pool.bytes != 0)
        fail("closing", 0, "memory was not given back");
}

int main(void)
{
    run_closing();
    printf("opening: about %ld allocations\n", run_opening());
    for (int i = 0; i < N_SCENARIOS; i++)
        printf("%s: %ld allocations\n", scenarios[i].name, run_scenario(i));
    printf("%d passed, %d failed\n", N_SCENARIOS + 1 - (n_failures > 0), n_failures);
    return n_failures ? EXIT_FAILURE : EXIT_SUCCESS;
}
