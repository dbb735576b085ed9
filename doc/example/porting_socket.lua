-- SPDX-License-Identifier: BSL-1.0
-- luacheck: globals scope_cleanup_push spawn
-- Programs written for LuaSocket and for copas, on fibers.
--
--     thrum porting_socket.lua

local fiber = require "fiber"
local mutex = require "mutex"
local time = require "time"

-- tag::server[]
local socket = require "socket"

local function handle(client)
    local line = client:receive()
    while line do
        client:send("you said " .. line .. "\n")
        line = client:receive()
    end
    client:close()
end

local server = assert(socket.bind("127.0.0.1", 0))
local host, port = server:getsockname()

local function serve()
    while true do
        local client = assert(server:accept())
        spawn(handle, client):detach() -- was: handle(client)
    end
end
-- end::server[]

local serving = spawn(serve)

-- tag::library[]
-- A library, as it is.
local function ask(question)
    local sock = assert(socket.tcp())
    sock:settimeout(5)
    assert(sock:connect(host, port))
    assert(sock:send(question .. "\n"))
    local answer, err = sock:receive()
    sock:close()
    return answer or error(err)
end

-- Its user: all at once, instead of one after the other.
local asking = {}
for i, question in ipairs {"one", "two", "three"} do
    asking[i] = spawn(ask, question)
end
for _, f in ipairs(asking) do
    print(f:join())
end
--> you said one
--> you said two
--> you said three
-- end::library[]

-- tag::time[]
-- The whole of it, whatever single time-outs there are.
local ok, err = pcall(time.with_timeout, 0.02, function()
    local sock = assert(socket.connect(host, port))
    scope_cleanup_push(function() sock:close() end) -- at the end of the pcall
    return sock:receive() -- nobody says anything
end)
print(ok, err) --> false	Connection timed out: ...
-- end::time[]

-- tag::select[]
-- A loop round select is a fiber like any other: others run while it waits.
local function watch(first, second)
    local readable = socket.select({first, second}, nil, 5)
    return readable[first] ~= nil, readable[second] ~= nil
end
-- end::select[]

local first, second = assert(socket.connect(host, port)), assert(socket.connect(host, port))
second:send("hello\n")
print(watch(first, second)) --> false	true

-- tag::copas[]
local n_ticks = 0

local ticking = spawn(fiber.named("ticker", function() -- was: copas.addnamedthread("ticker", ...)
    while true do
        socket.sleep(0.001) -- was: copas.pause(0.001)
        n_ticks = n_ticks + 1
    end
end))

local lock = mutex.new() -- was: copas.lock.new()
local function converse(sock)
    lock:lock() -- was: lock:get()
    sock:send("one at a time\n") -- was: copas.send(sock, ...)
    local answer = sock:receive() -- was: copas.receive(sock)
    lock:unlock() -- was: lock:release()
    return answer
end

spawn(function() -- was: copas.addthread(function()
    print(converse(first)) --> you said one at a time
    ticking:interrupt() -- was: copas.removethread(ticking)
end):join()
-- was: copas.loop()
-- end::copas[]

ticking:join()
print(n_ticks >= 0, ticking.interruption_caught) --> true	true

first:close()
second:close()
serving:interrupt()
serving:join()
server:close()
