-- SPDX-License-Identifier: BSL-1.0
-- dgram: everything at once, at random. Some sockets send to each other from listeners that
-- suspend, raise, stop their socket or change it. Each datagram arrives once and in order, each
-- callback is called once, each error is reported once. THRUM_ROUNDS says how many datagrams there
-- are, 20,000 by default; the seeds are printed first, THRUM_SEED is one more.
local h, t = ...
local lu, thrum = h.lu, h.thrum
local d = assert(loadfile(h.source .. "/test/lua/dgram_help.lua"))(h)
local this_fiber, time = thrum.this_fiber, thrum.time
local rounds = h.rounds_given or 20000
local n_sockets = 4
local max_under_way = 80 -- more might be too much for a socket that is stopped

local World = {}
World.__index = World

function World.new(seed)
    local world = setmetatable({
        dice = h.new_dice(seed), sockets = {}, ports = {}, numbers = {}, expected = {},
        n_sent = 0, n_received = 0, n_callbacks = 0, n_called = 0, n_raised = 0,
        n_reported = 0,
    }, World)
    for i = 1, n_sockets do
        local socket = d.bound()
        world.sockets[i] = socket
        world.ports[i] = d.port(socket)
        world.numbers[i], world.expected[i] = {}, {}
        socket:on("message", function(msg, rinfo) world:hear(i, msg, rinfo) end)
        socket:on("error", function(err) error("an error event: " .. err, 0) end)
        for j = 1, n_sockets do
            world.numbers[i][j], world.expected[i][j] = 0, 1
        end
    end
    return world
end

function World:send(from, to)
    if self.n_sent - self.n_received >= max_under_way or self.n_sent >= rounds then
        return
    end
    local number = self.numbers[from][to] + 1
    self.numbers[from][to] = number
    self.n_sent = self.n_sent + 1
    local socket, port = self.sockets[from], self.ports[to]
    local msg, form = from .. " " .. number, self.dice(10)
    if form == 1 then
        socket:send({tostring(from), " ", tostring(number)}, port)
    elseif form == 2 then
        self.n_callbacks = self.n_callbacks + 1
        socket:send(msg, port, "127.0.0.1", function(err, length)
            lu.assertNil(err)
            lu.assertEquals(length, #msg)
            self.n_called = self.n_called + 1
        end)
    elseif form == 3 then
        socket:send(msg .. (" "):rep(self.dice(4000)), port, "127.0.0.1")
    else
        lu.assertTrue(socket:send(msg, port, "127.0.0.1"))
    end
end

-- What may be done to a socket at any time, and changes nothing about its datagrams.
local changes = {
    function(socket) socket:recvStop() end,
    function(socket) socket:recvStart() end,
    function(socket) socket:recvStop() socket:recvStart() end,
    function(socket) socket:setBroadcast(true) end,
    function(socket) socket:setTTL(64) end,
    function(socket) socket:setTimeout(1) end,
    function(socket) socket:setTimeout(0) end,
    function(socket) socket:unref() end,
    function(socket) socket:ref() end,
    function(socket) socket:once("message", function() end) end,
}

local pauses = {
    function() this_fiber.yield() end,
    function() time.sleep(0) end,
    function() thrum.coroutine.wrap(this_fiber.yield)() end,
}

function World:act(i)
    for _ = 1, self.dice(3) do
        self:send(i, self.dice(n_sockets))
    end
    local what = self.dice(60)
    if what <= 10 then
        self:send(self.dice(n_sockets), self.dice(n_sockets))
    elseif what <= 20 then
        changes[self.dice(#changes)](self.sockets[self.dice(n_sockets)])
    elseif what <= 24 then
        pauses[self.dice(#pauses)]()
        self:send(i, self.dice(n_sockets))
    elseif what == 25 then
        self.n_raised = self.n_raised + 1
        error("a listener raises", 0)
    end
end

function World:hear(to, msg, rinfo)
    local from, number = msg:match("^(%d) (%d+) *$")
    from = tonumber(from)
    lu.assertEquals(rinfo.port, self.ports[from])
    lu.assertEquals(tonumber(number), self.expected[from][to])
    self.expected[from][to] = self.expected[from][to] + 1
    self.n_received = self.n_received + 1
    self:act(to)
end

function World:is_over()
    return self.n_sent >= rounds and self.n_received == self.n_sent
        and self.n_called == self.n_callbacks
end

-- The errors that listeners raised on purpose are counted, any other is this case's.
function World:check_reports()
    for _, report in ipairs(h.take_reports()) do
        if report.err ~= "a listener raises" then
            error(tostring(report.err) .. "\n" .. report.traceback, 0)
        end
        self.n_reported = self.n_reported + 1
    end
end

function World:run()
    local last
    while not self:is_over() do
        self:check_reports()
        if self.n_received ~= last then
            last = self.n_received
            h.not_hung()
        end
        for _, socket in ipairs(self.sockets) do
            socket:recvStart()
        end
        self:send(self.dice(n_sockets), self.dice(n_sockets))
        time.sleep(0.0005)
    end
    d.close(table.unpack(self.sockets))
    h.let_others_run(4)
    self:check_reports()
    lu.assertEquals(self.n_reported, self.n_raised)
end

local seeds = {1, 2, os.time() % 1000000, tonumber(os.getenv("THRUM_SEED"))}
print("dgram_race: seeds " .. table.concat(seeds, ", "))
io.stdout:flush()

for _, seed in ipairs(seeds) do
    t["test nothing is lost, doubled or out of order, seed " .. seed] = function()
        World.new(seed):run()
    end
end
