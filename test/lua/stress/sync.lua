-- SPDX-License-Identifier: BSL-1.0
-- Steps with mutexes, condition variables and semaphores: one owner at a time, none lost with a
-- fiber that was interrupted or timed out, nobody left waiting for what is free.
local h, stress = ...
local context = stress.context
local thrum = h.thrum
local pcall, scope = thrum.pcall, thrum.scope
local EPERM, EDEADLK = thrum.generic_error.EPERM, thrum.generic_error.EDEADLK
local push = thrum.scope_cleanup_push

local sync = {}

function sync.set_up(world)
    world.mutexes, world.semaphores = {}, {}
    for i = 1, 3 do
        world.mutexes[i] = {rank = i, mutex = thrum.mutex.new(), n_notified = 0,
            condition = thrum.condition_variable.new()}
    end
    for i = 1, 2 do
        world.semaphores[i] = {rank = 3 + i, total = i, n_held = 0,
            semaphore = thrum.semaphore.new(i)}
    end
end

-- Now and then a wait gives up by itself.
local function maybe_limited(actor, f, ...)
    if actor:chance(3) then
        return context.limited(actor, actor:pick {0.00002, 0.0005, 0.005}, f, ...)
    end
    return f(...)
end
sync.maybe_limited = maybe_limited

-- ---- mutex ----

local function check_owner(actor, lock)
    local text = tostring(lock.mutex)
    actor:check(lock.owner == actor, "%s owns what %s holds", lock.owner, actor)
    actor:check(text == ("mutex (held by fiber %s)"):format(actor.fiber_id), "it says: %s", text)
end

local function take(actor, lock)
    actor:check(not lock.owner, "a mutex of %s was given to another", lock.owner)
    lock.owner = actor
    check_owner(actor, lock)
end

-- Have `release` called when the scope ends, and mind the order of the locks until then.
local function hold(actor, lock, release)
    local held = actor.held
    actor.held, actor.n_held = lock.rank, actor.n_held + 1
    push(function()
        actor.held, actor.n_held = held, actor.n_held - 1
        release()
    end)
end

local function unlock(actor, lock)
    pcall(function()
        check_owner(actor, lock)
        lock.owner = nil
        lock.mutex:unlock()
    end)
end

local function lock_it(actor, lock)
    local call = {name = "mutex.lock"}
    function call.is_stuck()
        return not lock.owner and "it is free"
    end
    return actor:try(call, lock.mutex.lock, lock.mutex)
end

local function misuse(actor, lock)
    actor:check(not lock.mutex:try_lock(), "the owner has locked it again")
    local ok, err = actor:try({name = "lock again", allows = function(err)
        return err == EDEADLK
    end}, lock.mutex.lock, lock.mutex)
    actor:check(not ok, "a mutex was locked twice by its owner")
    if err ~= EDEADLK then
        actor:react(err)
    end
end

-- Wait for a change. Whatever ends it, the mutex is held again.
local function wait(actor, lock)
    local call = {name = "condition_variable.wait"}
    local n_notified = lock.n_notified
    function call.is_excused()
        return lock.owner -- who has been notified, or whose time is over, waits for the mutex
    end
    local ok, err = actor:try(call, function()
        lock.owner = nil
        return lock.condition:wait(lock.mutex)
    end)
    if not call.must then
        take(actor, lock)
    else
        lock.owner = actor
    end
    check_owner(actor, lock)
    actor:check(not ok or lock.n_notified > n_notified, "a wait has returned for nothing")
    if not ok then
        actor:react(err)
    end
end

local function use(actor, lock)
    if actor:chance(6) then
        misuse(actor, lock)
    end
    if actor:chance(2) then
        maybe_limited(actor, wait, actor, lock)
    end
    actor:deeper(2)
    check_owner(actor, lock)
end

local function inside(actor, f)
    local mark = actor:mark()
    local held, n_held = actor.held, actor.n_held
    local ok, err = pcall(scope, f)
    actor:check(actor.held == held and actor.n_held == n_held, "a handler has not run")
    if not ok then
        actor:caught(err, mark)
        actor:react(err)
    end
end

-- The locks are taken in the order of their ranks, so nobody waits in a circle.
local function pick_above(actor, list)
    local lock = actor:pick(list)
    return lock.rank > actor.held and lock or nil
end

function sync.lock(actor)
    local lock = pick_above(actor, actor.world.mutexes)
    if not lock then
        return
    end
    inside(actor, function()
        local ok, err
        if actor:chance(4) then
            ok = lock.mutex:try_lock()
        else
            ok, err = maybe_limited(actor, lock_it, actor, lock)
        end
        if ok then
            take(actor, lock)
            hold(actor, lock, function() unlock(actor, lock) end)
            use(actor, lock)
        elseif err then
            actor:react(err)
        end
    end)
end

function sync.notify(actor)
    local lock = actor:pick(actor.world.mutexes)
    lock.n_notified = lock.n_notified + 1
    if actor:chance(2) then
        lock.condition:notify_one()
    else
        lock.condition:notify_all()
    end
end

-- What another fiber owns cannot be unlocked, and not be waited with.
function sync.misuse(actor)
    local lock = actor:pick(actor.world.mutexes)
    if lock.owner == actor then
        return
    end
    local ok, err = stress.Actor.pcall(lock.mutex.unlock, lock.mutex)
    actor:check(not ok and err == EPERM, "another's mutex was unlocked")
    ok, err = stress.Actor.pcall(lock.condition.wait, lock.condition, lock.mutex)
    actor:check(not ok and err == EPERM, "waited without the mutex")
end

-- ---- semaphore ----

function sync.check_count(actor, sem)
    actor:check(sem.n_held <= sem.total, "%d hold what there are %d of", sem.n_held, sem.total)
    actor:check(sem.semaphore.count + sem.n_held <= sem.total, "one too many")
end

function sync.release(actor, sem)
    sem.n_held = sem.n_held - 1
    sem.semaphore:release()
    pcall(sync.check_count, actor, sem)
end

local function acquire(actor, sem)
    local call = {name = "semaphore.acquire"}
    function call.is_stuck()
        return (sem.semaphore.count > 0 or sem.n_held < sem.total) and "there is one"
    end
    return actor:try(call, sem.semaphore.acquire, sem.semaphore)
end

function sync.acquire(actor)
    local sem = pick_above(actor, actor.world.semaphores)
    if not sem then
        return
    end
    inside(actor, function()
        local ok, err
        if actor:chance(4) then
            ok = sem.semaphore:try_acquire()
        else
            ok, err = maybe_limited(actor, acquire, actor, sem)
        end
        if ok then
            sem.n_held = sem.n_held + 1
            sync.check_count(actor, sem)
            hold(actor, sem, function() sync.release(actor, sem) end)
            actor:deeper(2)
        elseif err then
            actor:react(err)
        end
    end)
end

-- ---- the whole ----

function sync.stir(world)
    for _, lock in ipairs(world.mutexes) do
        lock.n_notified = lock.n_notified + 1
        lock.condition:notify_all()
    end
end

function sync.finish(world)
    for _, lock in ipairs(world.mutexes) do
        world:check(tostring(lock.mutex) == "mutex (free)", "at the end: %s", lock.mutex)
    end
    for _, sem in ipairs(world.semaphores) do
        world:check(sem.semaphore.count == sem.total, "at the end a semaphore has %d, not %d",
            sem.semaphore.count, sem.total)
    end
end

sync.steps = {
    {5, sync.lock}, {4, sync.notify}, {1, sync.misuse}, {4, sync.acquire},
}

return sync
