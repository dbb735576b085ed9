-- SPDX-License-Identifier: BSL-1.0
-- thrum in a stock interpreter: the C module, no globals changed.
--
--     lua5.3 stock_interpreter.lua

-- tag::prompt[]
local thrum = require "thrum"
local byte_span, ip = thrum.byte_span, thrum.ip

-- Outside any fiber a call that has to wait runs the loop until its own result is there.
local sock = ip.udp.socket.new()
sock:open("v4")
sock:bind("127.0.0.1", 0)
sock:send_to("to myself", sock.local_address, sock.local_port)
local buf = byte_span.new(100)
print(tostring(buf:slice(1, sock:receive(buf)))) --> to myself
-- end::prompt[]

-- tag::run[]
local function main(name)
    local greeter = thrum.spawn(function()
        thrum.time.sleep(0.01)
        return "hello, " .. name
    end)
    return greeter:join()
end

print(thrum.run(main, "stock Lua")) --> hello, stock Lua
-- end::run[]

-- tag::poll[]
-- A program with a loop of its own gives thrum a turn now and then.
local ticks = 0
thrum.spawn(function()
    for _ = 1, 3 do
        thrum.time.sleep(0.005)
        ticks = ticks + 1
    end
end):detach()

while thrum.poll() do
    -- whatever else the program has to do
end
print(ticks) --> 3
-- end::poll[]

sock:close()
