-- SPDX-License-Identifier: BSL-1.0
-- Steps with channels: each value that was sent is received once, those of one sender in order;
-- what was not sent is received by nobody.
local h, stress = ...
local sync = stress.sync
local thrum = h.thrum
local channel = thrum.channel
local EPIPE = thrum.generic_error.EPIPE

local channels = {}

local capacities = {0, 0, 1, 4}

-- What raises when a channel is closed and empty: its own kind of error.
local function find_eof()
    local ch = channel.new()
    ch:close()
    local _, err = pcall(ch.receive, ch)
    return err
end
local eof = find_eof()

local function new_line(capacity)
    return {channel = channel.new(capacity), capacity = capacity, values = {}, n_sending = 0,
        n_receiving = 0}
end

function channels.set_up(world)
    world.lines = {}
    world.old_lines = {}
    for i, capacity in ipairs(capacities) do
        world.lines[i] = new_line(capacity)
    end
end

-- ---- send ----

function channels.new_value(actor, line)
    local value = {line = line, sender = actor, number = #line.values + 1, state = "new"}
    line.values[value.number] = value
    return value
end

function channels.new_send_call(line)
    local call = {name = "channel.send"}
    function call.is_stuck()
        if #line.channel < line.capacity then
            return "there is room"
        end
        return (line.is_closed or line.n_receiving > 0) and "it was closed, or somebody receives"
    end
    function call.allows(err)
        return err == EPIPE and line.is_closed
    end
    return call
end

function channels.begin_send(line, value)
    value.state = "sending"
    line.n_sending = line.n_sending + 1
end

function channels.end_send(actor, line, value, is_sent)
    line.n_sending = line.n_sending - 1
    value.state = is_sent and "sent" or "failed"
    actor:check(is_sent or not value.receiver, "%s has got what was not sent", value.receiver)
end

local function send(actor, line)
    local value = channels.new_value(actor, line)
    channels.begin_send(line, value)
    local ok, err = actor:try(channels.new_send_call(line), line.channel.send, line.channel, value)
    channels.end_send(actor, line, value, ok)
    return ok, err
end

function channels.send(actor)
    local line = actor:pick(actor.world.lines)
    local ok, err = sync.maybe_limited(actor, send, actor, line)
    if not ok then
        actor:react(err)
    end
end

-- ---- receive ----

function channels.check_value(actor, line, value)
    actor:check(type(value) == "table" and value.line == line, "not a value of this channel")
    actor:check(not value.receiver, "%s has had this value", value.receiver)
    actor:check(value.state == "sending" or value.state == "sent", "the value is %s", value.state)
    value.receiver = actor
    local last = actor.last_seen[value.sender]
    if not last then
        last = {}
        actor.last_seen[value.sender] = last
    end
    actor:check((last[line] or 0) < value.number, "the values of %s have changed their order",
        value.sender)
    last[line] = value.number
end

function channels.new_receive_call(line)
    local call = {name = "channel.receive"}
    function call.is_stuck()
        if #line.channel > 0 then
            return "there are values"
        end
        return (line.is_closed or line.n_sending > 0) and "it was closed, or somebody sends"
    end
    function call.allows(err)
        return line.is_closed and err == eof
    end
    return call
end

local function receive(actor, line)
    line.n_receiving = line.n_receiving + 1
    local ok, value =
        actor:try(channels.new_receive_call(line), line.channel.receive, line.channel)
    line.n_receiving = line.n_receiving - 1
    if ok then
        channels.check_value(actor, line, value)
    end
    return ok, value
end

function channels.receive(actor)
    local line = actor:pick(actor.world.lines)
    local ok, err = sync.maybe_limited(actor, receive, actor, line)
    if not ok then
        actor:react(err)
    end
end

-- A loop over the values that ends after a few, or with the channel.
function channels.loop(actor)
    local line = actor:pick(actor.world.lines)
    local step, ch = line.channel:values()
    for _ = 1, actor.dice(3) do
        line.n_receiving = line.n_receiving + 1
        local ok, value = actor:try(channels.new_receive_call(line), step, ch)
        line.n_receiving = line.n_receiving - 1
        if not ok then
            return actor:react(value)
        elseif value == nil then
            actor:check(line.is_closed, "the values have ended, the channel was not closed")
            return
        end
        channels.check_value(actor, line, value)
    end
end

function channels.close(actor)
    local world = actor.world
    local i = actor.dice(#world.lines)
    local line = world.lines[i]
    if actor:chance(4) then
        line.is_closed = true
        line.channel:close()
        actor:check(line.channel.is_closed, "a closed channel is not closed")
        world.old_lines[#world.old_lines + 1] = line
        world.lines[i] = new_line(line.capacity)
    end
end

-- ---- the whole ----

local function each_line(world, f)
    for _, list in ipairs {world.lines, world.old_lines} do
        for _, line in ipairs(list) do
            f(line)
        end
    end
end

function channels.stir(world)
    each_line(world, function(line)
        line.is_closed = true
        line.channel:close()
    end)
end

-- Nobody waits any more: what is left is in the buffers.
function channels.finish(world)
    channels.stir(world)
    each_line(world, function(line)
        for value in line.channel:values() do
            world:check(value.state == "sent" and not value.receiver, "left over: one that is %s",
                value.state)
            value.receiver = world
        end
        for _, value in ipairs(line.values) do
            world:check(value.state ~= "sent" or value.receiver, "a value of %s was lost",
                value.sender)
        end
    end)
end

channels.steps = {{8, channels.send}, {7, channels.receive}, {2, channels.loop},
    {1, channels.close}}

return channels
