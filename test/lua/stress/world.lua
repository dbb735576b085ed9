-- SPDX-License-Identifier: BSL-1.0
-- A world: some objects, some actors who use them at random, and a watcher. Whenever nothing
-- moves any more, each waiting actor is asked whether it has to; at the end whatever can wait is
-- woken, and everybody must come to an end, with nothing lost and nothing left.
local h, stress = ...
local thrum = h.thrum
local this_fiber, time = thrum.this_fiber, thrum.time
local now = time.steady_clock.now

local World = {}
World.__index = World

local kinds = {
    stress.sync, stress.channels, stress.timers, stress.values, stress.sockets, stress.groups,
}

function World.new(seed, size)
    local world = setmetatable({
        seed = seed,
        size = size,
        dice = h.new_dice(seed),
        actors = {}, -- by id
        n_actors = 0,
        ids = {}, -- of fibers that have been
        threads = setmetatable({}, {__mode = "v"}), -- of actors, by their ids
        generators = {},
        reports_due = {},
        raised_at = {},
        progress = 0,
        failed = setmetatable({}, {__tostring = function() return "the stress has failed" end}),
        log = {},
        n_log = 0,
    }, World)
    for _, kind in ipairs(kinds) do
        kind.set_up(world)
    end
    world:choose_steps()
    return world
end

-- ---- what happened ----

local log_size = 4 * 60

-- Remember it for the case that something goes wrong.
function World:note(actor, what, name, value)
    local log, at = self.log, self.n_log % log_size
    log[at + 1], log[at + 2], log[at + 3], log[at + 4] = actor.id, what, name or "", value or ""
    self.n_log = self.n_log + 4
end

function World:history()
    local lines = {}
    for at = math.max(0, self.n_log - log_size), self.n_log - 4, 4 do
        local i = at % log_size
        lines[#lines + 1] = ("  actor %d %s %s %s"):format(self.log[i + 1], self.log[i + 2],
            self.log[i + 3], tostring(self.log[i + 4]))
    end
    return table.concat(lines, "\n")
end

-- The living, what they wait for, and where.
function World:list()
    local lines = {}
    for _, actor in pairs(self.actors) do
        local call = actor.call
        if call then
            lines[#lines + 1] = ("  %s (fiber %s%s) waits in %s for %.3f s\n%s"):format(actor,
                actor.fiber_id, actor.is_interrupted and ", interrupted" or "", call.name,
                now() - call.begun, debug.traceback(call.thread))
        elseif not stress.fibers.has_ended(actor) then
            lines[#lines + 1] = ("  %s is ready to run"):format(actor)
        end
    end
    return table.concat(lines, "\n")
end

function World:describe()
    return ("seed %d (THRUM_SEED=%d THRUM_ROUNDS=1 runs it again)\n%s\nbefore:\n%s\nwaiting:\n%s")
        :format(self.seed, self.seed, debug.traceback(self.thread), self:history(), self:list())
end

function World:fail(text)
    if not self.failure then
        self.failure = text .. "\n" .. debug.traceback("", 2) .. "\n" .. self:describe()
    end
    error(self.failed, 0)
end

function World:check(is_so, text, ...)
    if not is_so then
        local values = table.pack(...)
        for i = 1, values.n do
            values[i] = math.type(values[i]) and values[i] or tostring(values[i])
        end
        self:fail(text:format(table.unpack(values)))
    end
end

-- ---- choosing steps ----

local function is_yield_due(actor)
    return actor.frame.is_coroutine and actor.n_held == 0 and actor.n_disabled == 0 and
        actor.n_cleanups == 0 and actor.n_grouped == 0
end

local function add(world, list, steps)
    for _, entry in ipairs(steps) do
        for _ = 1, entry[1] * world.moods[entry[2]] do
            list[#list + 1] = entry[2]
        end
    end
end

-- Each world likes some steps more than others, and some not at all.
function World:choose_steps()
    local dice = self.dice
    local moods = {0, 1, 1, 2, 5}
    self.moods = setmetatable({}, {__index = function(t, step)
        t[step] = moods[dice(#moods)]
        return t[step]
    end})
    local small, all, waiting = {}, {}, {}
    for _, kind in ipairs(kinds) do
        add(self, small, kind.steps)
    end
    add(self, small, stress.fibers.steps)
    if #small == 0 then
        small[1] = stress.fibers.yield
    end
    add(self, all, stress.context.steps)
    add(self, waiting, stress.fibers.waiting_steps)
    add(self, waiting, stress.context.small_steps)
    add(self, waiting, stress.groups.waiting_steps)
    self.small, self.deep, self.free = small, all, waiting
end

function World:pick_step(actor)
    if is_yield_due(actor) and actor:chance(4) then
        return stress.context.yield
    elseif actor.depth < 4 and #self.deep > 0 and actor:chance(4) then
        return actor:pick(self.deep)
    elseif actor.n_held == 0 and actor.n_cleanups == 0 and #self.free > 0 and actor:chance(8) then
        return actor:pick(self.free)
    end
    return actor:pick(self.small)
end

-- ---- watching ----

function World:count_alive()
    local n = 0
    for _, actor in pairs(self.actors) do
        n = n + (stress.fibers.has_ended(actor) and 0 or 1)
    end
    return n
end

-- Forget who has ended and cannot be joined.
function World:sweep()
    for id, actor in pairs(self.actors) do
        if stress.fibers.has_ended(actor) and not actor.handle then
            self.actors[id] = nil
        end
    end
end

local function why_stuck(actor, call)
    if actor.call ~= call or call.is_excused and call.is_excused() then
        return nil
    elseif actor:is_overdue(now()) or call.timeout and now() > call.begun + call.timeout then
        return "its time is over"
    end
    return call.is_stuck and call.is_stuck()
end

-- Somebody waits for what is there. That may be so for a moment, but not for long.
function World:look_for_stuck()
    local suspects = {}
    for _, actor in pairs(self.actors) do
        if actor.call and why_stuck(actor, actor.call) then
            suspects[actor] = actor.call
        end
    end
    local deadline, n_looks = now() + self.size.stuck_after, 0
    while next(suspects) and not self.failure do
        time.sleep(0.0005)
        n_looks = n_looks + 1
        for actor, call in pairs(suspects) do
            local why = why_stuck(actor, call)
            if not why then
                suspects[actor] = nil
            elseif now() > deadline and n_looks > 200 then
                self:fail(("%s is stuck in %s: %s"):format(actor, call.name, why))
            end
        end
    end
end

function World:pass_time()
    if self.dice(3) == 1 then
        time.sleep(0.0002)
    else
        this_fiber.yield()
    end
    self:sweep()
end

-- Something new for those who wait.
function World:enliven()
    local size = self.size
    for _ = 1, 2 do
        if self.n_actors < size.n_actors then
            stress.fibers.spawn(self, self.dice(1 << 60), self.dice(size.n_steps), "joinable")
        end
    end
    stress.fibers.interrupt(self.overseer)
end

function World:watch()
    local deadline = now() + self.size.seconds
    local n_still, n_pauses = 0, 0
    while not self.failure and self:count_alive() > 0 and now() < deadline do
        local progress = self.progress
        self:pass_time()
        n_still = progress == self.progress and n_still + 1 or 0
        if n_still == 12 then
            self:look_for_stuck()
            self:enliven()
            n_still, n_pauses = 0, n_pauses + 1
        end
        if n_pauses == self.size.n_pauses then
            return
        end
    end
end

function World:stir()
    for _, kind in ipairs(kinds) do
        if kind.stir then
            kind.stir(self)
        end
    end
    for _, actor in pairs(self.actors) do
        if actor.handle then
            stress.fibers.interrupt_whom(self, actor)
        end
    end
end

-- Everybody must come to an end.
function World:end_all()
    self.is_ending = true
    local deadline, n_stirs = now() + self.size.stuck_after, 0
    while not self.failure and self:count_alive() > 0 do
        self:stir()
        n_stirs = n_stirs + 1
        for _ = 1, 10 do
            self:pass_time()
        end
        if now() > deadline and n_stirs > 200 then
            self:fail("not everybody ends")
        end
    end
end

function World:expect_report(err, actor)
    table.insert(self.reports_due, {err = err, actor = actor})
end

-- The errors of those whom nobody could join, each once; and of those whom nobody joined in time.
function World:check_reports()
    local taken = {}
    for _ = 1, 5 do
        collectgarbage()
        collectgarbage()
        this_fiber.yield()
        for _, report in ipairs(h.take_reports()) do
            taken[#taken + 1] = report
        end
    end
    for _, due in ipairs(self.reports_due) do
        local found
        for i, report in ipairs(taken) do
            found = rawequal(report.err, due.err) and i or found
        end
        self:check(found, "the error of %s was not reported: %s", due.actor, due.err)
        table.remove(taken, found)
    end
    for _, report in ipairs(taken) do
        local raised_at = self.raised_at[report.err]
        self.raised_at[report.err] = nil
        self:check(raised_at and now() - raised_at >= 1, "reported, though nobody has to: %s",
            report.err)
    end
end

function World:finish()
    for _, actor in pairs(self.actors) do
        if actor.handle then
            stress.fibers.join_with(self.overseer, actor)
        end
    end
    self:sweep()
    self.generators = nil
    stress.groups.drop_open(self)
    self:check(next(self.actors) == nil, "somebody is left")
    for _, kind in ipairs(kinds) do
        if kind.finish then
            kind.finish(self)
        end
    end
    self:check_reports()
end

-- Raises what has gone wrong.
function World:run()
    if not h.is_eager then
        collectgarbage("setpause", 50 + self.dice(150))
        collectgarbage("setstepmul", 50 + self.dice(300))
    end
    self.overseer = stress.Actor.new(self, self.dice(1 << 60), 0)
    self.actors[self.overseer.id] = nil
    self.thread = thrum.coroutine.running()
    local function live()
        for _ = 1, self.size.n_first do
            stress.fibers.spawn(self, self.dice(1 << 60), self.size.n_steps, "joinable")
        end
        self:watch()
        if not self.failure then
            self:look_for_stuck()
            self:end_all()
            self:finish()
        end
    end
    local ok, err = thrum.pcall(live)
    h.collect_as_usual()
    if self.failure then
        error(self.failure, 0)
    elseif not ok then
        error(err, 0)
    end
end

return World
