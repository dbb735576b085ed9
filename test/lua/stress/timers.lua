-- SPDX-License-Identifier: BSL-1.0
-- Steps with time: sleeping, timers that several wait for, signals that this process sends itself.
-- Nothing ends early, a cancel ends the waits that were there, a signal ends all waits of its sets.
local h, stress = ...
local thrum = h.thrum
local sync = stress.sync
local time, system = thrum.time, thrum.system
local ECANCELED = thrum.generic_error.ECANCELED

local timers = {}

function timers.set_up(world)
    world.timers, world.signal_sets = {}, {}
    for i, kind in ipairs {"steady", "system", "steady"} do
        world.timers[i] = {
            timer = time[kind .. "_timer"].new(),
            now = time[kind .. "_clock"].now,
            n_resets = 0,
            n_waiting = 0,
        }
    end
    for i, names in ipairs {{"SIGUSR1"}, {"SIGUSR1", "SIGUSR2"}} do
        world.signal_sets[i] = {set = system.signal.set.new(table.unpack(names)), n_raised = 0,
            n_cancelled = 0, has = {[names[1]] = true, [names[2] or names[1]] = true}}
    end
end

-- ---- sleep ----

function timers.sleep(actor)
    local seconds = actor:pick {0, 0, 0.00001, 0.0001, 0.001}
    local call = {name = "time.sleep"}
    function call.is_stuck()
        return time.steady_clock.now() > call.begun + seconds and "its time is over"
    end
    local ok, err = actor:try(call, time.sleep, seconds)
    actor:check(not ok or time.steady_clock.now() >= call.begun + seconds, "slept too short")
    if not ok then
        actor:react(err)
    end
end

-- ---- timers ----

function timers.set(actor)
    local timer = actor:pick(actor.world.timers)
    local seconds = actor:pick {0, 0.0001, 0.001, 0.01, 60}
    timer.n_resets = timer.n_resets + 1
    if actor:chance(2) then
        timer.timer:expires_after(seconds)
    else
        timer.timer:expires_at(timer.now() + seconds)
    end
    local left = timer.timer.expiry - timer.now()
    actor:check(left <= seconds + 0.000001 and left > seconds - 100, "an expiry in %s", left)
end

function timers.cancel(actor)
    local timer = actor:pick(actor.world.timers)
    timer.n_resets = timer.n_resets + 1
    local n_waiting = timer.n_waiting
    local n = timer.timer:cancel()
    actor:check(n >= 0 and n <= n_waiting, "%d cancelled where %d wait", n, n_waiting)
end

function timers.new_wait_call(timer)
    local n_resets, expiry = timer.n_resets, timer.timer.expiry
    local call = {name = "timer.wait"}
    function call.is_stuck()
        if timer.n_resets ~= n_resets then
            return "it was cancelled"
        end
        return timer.now() > expiry and "it has expired"
    end
    function call.allows(err)
        return err == ECANCELED and timer.n_resets ~= n_resets
    end
    return call
end

local function wait(actor, timer)
    local call, expiry = timers.new_wait_call(timer), timer.timer.expiry
    timer.n_waiting = timer.n_waiting + 1
    local ok, err = actor:try(call, timer.timer.wait, timer.timer)
    timer.n_waiting = timer.n_waiting - 1
    actor:check(not ok or timer.now() >= expiry - 0.000001, "a timer was early")
    return ok, err
end

function timers.wait(actor)
    local ok, err = sync.maybe_limited(actor, wait, actor, actor:pick(actor.world.timers))
    if not ok then
        actor:react(err)
    end
end

-- ---- signals ----

local function raise(world, name)
    for _, set in ipairs(world.signal_sets) do
        if set.has[name] then
            set.n_raised = set.n_raised + 1
        end
    end
    system.kill(system.getpid(), name)
end

function timers.raise(actor)
    raise(actor.world, actor:pick {"SIGUSR1", "SIGUSR2"})
end

local function wait_signal(actor, set)
    local n_raised, n_cancelled = set.n_raised, set.n_cancelled
    local call = {name = "system.signal.set.wait"}
    function call.is_stuck()
        if set.n_cancelled ~= n_cancelled then
            return "it was cancelled"
        end
        return set.n_raised ~= n_raised and "there was a signal"
    end
    function call.allows(err)
        return err == ECANCELED and set.n_cancelled ~= n_cancelled
    end
    local ok, number, name = actor:try(call, set.set.wait, set.set)
    if ok then
        actor:check(set.has[name] and system.signal[name] == number, "%s was never asked for", name)
        actor:check(set.n_raised > 0, "a signal nobody has sent")
    end
    return ok, number
end

function timers.wait_signal(actor)
    local set = actor:pick(actor.world.signal_sets)
    local ok, err = sync.maybe_limited(actor, wait_signal, actor, set)
    if not ok then
        actor:react(err)
    end
end

function timers.cancel_signals(actor)
    local set = actor:pick(actor.world.signal_sets)
    set.n_cancelled = set.n_cancelled + 1
    set.set:cancel()
end

-- ---- the whole ----

function timers.stir(world)
    for _, timer in ipairs(world.timers) do
        timer.n_resets = timer.n_resets + 1
        timer.timer:cancel()
    end
    raise(world, "SIGUSR1")
end

function timers.finish(world)
    for _, set in ipairs(world.signal_sets) do
        set.set:clear()
    end
    for _, timer in ipairs(world.timers) do
        world:check(timer.timer:cancel() == 0, "a timer has waiters left")
    end
end

timers.steps = {
    {8, timers.sleep}, {3, timers.set}, {2, timers.cancel}, {4, timers.wait},
    {3, timers.raise}, {3, timers.wait_signal}, {1, timers.cancel_signals},
}

return timers
