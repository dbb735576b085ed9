-- SPDX-License-Identifier: BSL-1.0
-- An actor: one fiber of the stress program and what must be true of it. It knows who interrupted
-- it, which timeouts hold, which cleanup handlers wait and which call it is in; from that
-- Actor:try judges how a call ended.
local h = ...
local thrum = h.thrum
local this_fiber, coroutine, pcall = thrum.this_fiber, thrum.coroutine, thrum.pcall
local pack, unpack = table.pack, table.unpack
local now = thrum.time.steady_clock.now
local ETIMEDOUT = thrum.generic_error.ETIMEDOUT

local Actor = {}
Actor.__index = Actor

-- A frame is a thread of a fiber, its own or a coroutine's: that has handlers and timeouts.
function Actor.new_frame(parent)
    return {parent = parent, handlers = {}, limits = {}, groups = {}}
end

function Actor.new(world, seed, n_steps)
    world.n_actors = world.n_actors + 1
    local actor = setmetatable({
        world = world,
        id = world.n_actors,
        dice = h.new_dice(seed),
        n_left = n_steps,
        depth = 0,
        n_starts = 0,
        n_ends = 0,
        n_disabled = 0, -- disable_interruption
        n_cleanups = 0, -- cleanup handlers running, one in another
        n_grouped = 0, -- functions of groups
        n_held = 0, -- locks and the like: what must not wait for another actor's end
        held = 0, -- the highest lock among them
        last_seen = {}, -- by sender, what a channel has given last
        frame = Actor.new_frame(),
    }, Actor)
    world.actors[actor.id] = actor
    return actor
end

-- The one whose fiber runs, in coroutines, too.
function Actor.current()
    return this_fiber.local_.actor
end

function Actor:__tostring()
    return "actor " .. self.id
end

function Actor:fail(text, ...)
    self.world:fail(tostring(self) .. ": " .. text:format(...))
end

function Actor:check(is_so, text, ...)
    if not is_so then
        self:fail(text, ...)
    end
end

function Actor:chance(n)
    return self.dice(n) == 1
end

function Actor:pick(list)
    return list[self.dice(#list)]
end

-- ---- interruption and timeouts ----

function Actor:is_interruptible()
    return self.n_disabled == 0 and self.n_cleanups == 0
end

function Actor:must_be_interrupted()
    if self.is_interrupted and self:is_interruptible() then
        return true
    end
    local frame = self.frame
    while frame do
        for _, group in ipairs(frame.groups) do
            local holds = group.actor == self and group.n_cleanups == self.n_cleanups and
                group.n_disabled >= self.n_disabled
            if holds and group.is_interrupted then
                return true
            end
        end
        frame = frame.parent
    end
    return false
end

-- A group that is being joined may have interrupted its children, who knows when.
function Actor:may_be_interrupted()
    return self:must_be_interrupted() or
        self.group and self.group.is_over and self:is_interruptible()
end

-- The timeouts that hold now. A limit is `low` to `high`: between them lies its deadline.
function Actor:limits()
    local found = {}
    local frame = self.frame
    while frame do
        for _, limit in ipairs(frame.limits) do
            local holds = limit.actor == self and limit.n_cleanups == self.n_cleanups
            if holds and not limit.is_spent then
                found[#found + 1] = limit
            end
        end
        frame = frame.parent
    end
    table.sort(found, function(a, b) return a.low < b.low end)
    return found
end

function Actor:is_overdue(t)
    for _, limit in ipairs(self:limits()) do
        if limit.high < t and not limit.is_vague then
            return true
        end
    end
    return false
end

-- ETIMEDOUT has been raised: by whose deadline?
function Actor:spend(call)
    local t = now()
    local due = {}
    for _, limit in ipairs(self:limits()) do
        if limit.low <= t then
            due[#due + 1] = limit
        end
    end
    local is_own = call.timeout and call.begun + call.timeout <= t
    self:check(is_own or #due > 0, "%s timed out too early", call.name)
    local nearest, next_one = due[1], due[2]
    if not is_own and (not next_one or nearest.high < next_one.low and not nearest.is_vague) then
        nearest.is_spent = true
    else -- one of them: none is counted on any more
        for _, limit in ipairs(due) do
            limit.is_vague = true
        end
    end
end

-- ---- calls ----

local function open_shield(f, ...)
    this_fiber.restore_interruption()
    return f(...)
end

function Actor:judge_success(call)
    if call.must then
        self:fail("%s returned where it had to be %s", call.name, call.must)
    end
end

function Actor:judge_error(call, err)
    if rawequal(err, self.world.failed) then
        error(err, 0)
    elseif call.outranks and call.outranks(err) then
        return
    elseif not call.must and call.allows and call.allows(err) then
        return
    elseif h.is_interruption(err) then
        self:check(self:may_be_interrupted(), "%s was interrupted by nobody", call.name)
    elseif call.must == "interrupted" then
        self:fail("%s raised '%s' where it had to be interrupted", call.name, tostring(err))
    elseif err == ETIMEDOUT then
        self:spend(call)
    elseif call.must then
        self:fail("%s raised '%s' where it had to be %s", call.name, tostring(err), call.must)
    else
        self:fail("%s raised '%s'", call.name, tostring(err))
    end
end

-- Make a call that may suspend, and judge how it ends: true and its results, or false and the
-- error. In `call` stands what others may ask meanwhile: `name`; is_stuck(), why it should have
-- ended; is_excused(), whether it may be late; allows(err), whether it may raise that;
-- outranks(err), whether it may even where it must end otherwise; timeout, of its own.
function Actor:try(call, f, ...)
    call.begun = now()
    call.thread = coroutine.running()
    if self:must_be_interrupted() then
        call.must = "interrupted"
    elseif self:is_overdue(call.begun) then
        call.must = "timed out"
    end
    self.world:note(self, "calls", call.name)
    self.call = call
    this_fiber.disable_interruption() -- pcall is a point itself
    local results = pack(pcall(open_shield, f, ...))
    self.call = nil
    self.world.progress = self.world.progress + 1
    if results[1] then
        self.world:note(self, "returns from", call.name)
        self:judge_success(call)
    else
        self.world:note(self, "raises from", call.name, results[2])
        self:judge_error(call, results[2])
    end
    return unpack(results, 1, results.n)
end

-- A pcall that is no interruption point.
function Actor.pcall(f, ...)
    this_fiber.disable_interruption()
    local results = pack(pcall(f, ...))
    this_fiber.restore_interruption()
    return unpack(results, 1, results.n)
end

-- ---- errors on their way ----

function Actor:throw(err)
    self.flying = {value = err}
    error(err, 0)
end

-- What a program does with an error: it goes on, or lets it pass.
function Actor:react(err)
    if self.n_cleanups > 0 then
        return -- a handler must not raise
    end
    local is_asked_to_end = h.is_interruption(err) or err == ETIMEDOUT
    if self:chance(is_asked_to_end and 2 or 10) then
        self:throw(err)
    end
end

-- Where a protected call goes back to.
function Actor:mark()
    return {frame = self.frame, n_limits = #self.frame.limits, n_handlers = #self.frame.handlers,
        n_groups = #self.frame.groups, n_disabled = self.n_disabled, depth = self.depth,
        n_grouped = self.n_grouped}
end

function Actor:go_back(mark)
    self.frame, self.call, self.depth = mark.frame, nil, mark.depth
    self.n_grouped = mark.n_grouped
    for i = #mark.frame.limits, mark.n_limits + 1, -1 do
        mark.frame.limits[i] = nil
    end
    for i = #mark.frame.groups, mark.n_groups + 1, -1 do
        mark.frame.groups[i] = nil
    end
    self:check(#mark.frame.handlers == mark.n_handlers, "cleanup handlers were left")
    self:check(self.n_disabled == mark.n_disabled, "the stress program is wrong: disabled")
end

-- A protected call has caught an error: it must be the very one that was raised.
function Actor:caught(err, mark)
    local flying = self.flying
    if rawequal(err, self.world.failed) then
        error(err, 0)
    elseif flying and rawequal(flying.value, err) then
        self.flying = nil
    elseif h.is_interruption(err) then
        self:check(self:may_be_interrupted(), "interrupted by nobody")
    else
        self:fail("caught what nobody has raised: %s", tostring(err))
    end
    self:go_back(mark)
end

-- ---- steps ----

function Actor:can_go_on()
    return self.n_left > 0 and not self.world.is_ending and not self.world.failure
end

-- Up to n random steps, inside whatever context the actor is in by now.
function Actor:steps(n)
    for _ = 1, n do
        if self.world.failure and self.n_cleanups == 0 then
            error(self.world.failed, 0)
        elseif not self:can_go_on() then
            return
        end
        self.n_left = self.n_left - 1
        self.world:pick_step(self)(self)
    end
end

function Actor:deeper(n)
    self.depth = self.depth + 1
    self:steps(n)
    self.depth = self.depth - 1
end

return Actor
