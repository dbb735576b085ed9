-- SPDX-License-Identifier: BSL-1.0
-- luacheck: globals ip byte_span time spawn
-- What the spec `debugger` steps through: three fibers that wait for one another, for a datagram
-- and for the time. The spec knows its lines by the words behind them.
local remote, port = dofile((...)), tonumber((select(2, ...)))
local count, log = 0, {}

local function note(text)
    count = count + 1 -- counts
    log[#log + 1] = text
end

local function ask(sock, peer)
    sock:send_to("question", ip.address.loopback_v4(), peer.local_port)
    local buf = byte_span.new(16)
    local n = sock:receive(buf) -- suspends
    local answer = tostring(buf:slice(1, n)) -- has suspended
    note(answer) -- notes
    return answer -- answers
end

local function answer(sock)
    local buf = byte_span.new(16)
    local n, addr, from = sock:receive_from(buf)
    local text = "re: " .. tostring(buf:slice(1, n)) -- has been asked
    sock:send_to(text, addr, from)
end

local function tick(stop)
    local n_ticks = 0
    repeat
        time.sleep(0.001)
        n_ticks = n_ticks + 1 -- ticks
    until stop.is_set
    return n_ticks
end

local function main()
    local a, b, stop = ip.udp.socket.new(), ip.udp.socket.new(), {}
    for _, sock in ipairs {a, b} do
        sock:open("v4")
        sock:bind(ip.address.any_v4(), 0)
    end
    local fibers = {spawn(answer, b), spawn(ask, a, b), spawn(tick, stop)}
    local result = fibers[2]:join() -- joins
    stop.is_set = true -- has joined
    fibers[1]:join()
    local has_ticked = fibers[3]:join() >= 1
    print(result, count, log[1], has_ticked) -- prints
end

remote.start(port)
remote.follow()
main()
