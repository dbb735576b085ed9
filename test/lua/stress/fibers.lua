-- SPDX-License-Identifier: BSL-1.0
-- Steps with fibers: spawn, join, detach, dropped handles, interruption. Each fiber begins and ends
-- once, join gives its own results or its own error, and an error that nobody can join is reported
-- once.
local h, stress = ...
local Actor = stress.Actor
local thrum = h.thrum
local this_fiber, coroutine, spawn, pcall =
    thrum.this_fiber, thrum.coroutine, thrum.spawn, thrum.pcall
local pack, now = table.pack, thrum.time.steady_clock.now

local fibers = {}

-- ---- the life of an actor ----

-- The last of its handlers: what its fiber ends with.
local function note_end(actor)
    actor.n_ends = actor.n_ends + 1
    actor:check(actor.n_ends == 1, "ends again")
    actor:check(this_fiber.id == actor.fiber_id, "the root scope is another fiber's")
    local is_asked = actor.is_interrupted or actor.group and actor.group.is_over
    if actor.has_returned then
        actor.ending = "returned"
    elseif not actor.flying or is_asked and h.is_interruption(actor.flying.value) then
        actor.ending = "interrupted"
        actor:check(is_asked, "ends interrupted by nobody")
    else
        actor.ending, actor.err = "raised", actor.flying.value
        actor.world.raised_at[actor.err] = now()
    end
    actor.world:note(actor, "ends:", actor.ending)
    if actor.group then
        stress.groups.note_end(actor)
    elseif actor.ending == "raised" and not actor.handle then
        actor.world:expect_report(actor.err, actor)
    end
end

local function main(actor, token, nothing)
    actor.n_starts = actor.n_starts + 1
    actor:check(actor.n_starts == 1, "starts again")
    actor:check(token == actor.token and nothing == nil, "spawn has changed the arguments")
    actor:check(this_fiber.local_.actor == nil, "local_ is another fiber's")
    this_fiber.local_.actor = actor
    actor.fiber_id = this_fiber.id
    actor.world.threads[actor.id] = coroutine.running()
    actor:check(not actor.world.ids[actor.fiber_id], "two fibers with one id")
    actor.world.ids[actor.fiber_id] = true
    thrum.scope_cleanup_push(function()
        pcall(note_end, actor)
    end)
    actor:steps(actor.n_left)
    actor.has_returned = true
    return token, nil, actor.id, nil
end

function fibers.has_ended(actor)
    return actor.n_ends > 0
end

-- Spawn an actor. `fate`: "joinable", "detached" or "dropped".
function fibers.spawn(world, seed, n_steps, fate, spawner)
    local actor = Actor.new(world, seed, n_steps)
    actor.token = {}
    local handle = (spawner or spawn)(main, actor, actor.token, nil)
    if fate == "joinable" then
        actor.handle = handle
    elseif fate == "detached" then
        handle:detach()
    end
    return actor
end

-- ---- steps ----

function fibers.other_with_handle(actor, accepts)
    local found = {}
    for _, other in pairs(actor.world.actors) do
        if other.handle and accepts(other) then
            found[#found + 1] = other
        end
    end
    if #found == 0 then
        return nil
    end
    table.sort(found, function(a, b) return a.id < b.id end)
    return actor:pick(found)
end

local fates = {"joinable", "joinable", "joinable", "detached", "dropped"}

function fibers.fork(actor)
    if actor.world.n_actors < actor.world.size.n_actors then
        fibers.spawn(actor.world, actor.dice(1 << 60), actor.dice(actor.world.size.n_steps),
            actor:pick(fates))
    end
end

-- What join has brought must be the joined fiber's own.
local function check_joined(actor, other, handle, results)
    actor:check(other.n_ends == other.n_starts, "%s was joined before its end", other)
    if other.ending == "raised" then
        actor:check(not results[1] and rawequal(results[2], other.err),
            "the error of %s, '%s', was joined as '%s'", other, other.err, results[2])
    elseif other.ending == "returned" then
        actor:check(results.n == 5 and results[2] == other.token and results[3] == nil and
            results[4] == other.id and results[5] == nil, "the results of %s are others", other)
    else
        actor:check(other.is_interrupted and results.n == 1, "%s was joined: nonsense", other)
    end
    local was_interrupted = other.ending ~= "raised" and other.ending ~= "returned"
    actor:check(handle.interruption_caught == was_interrupted, "interruption_caught is wrong")
    actor:check(not handle.joinable, "joinable after join")
end

-- Wait for another's end. Only for a younger one's: so nobody waits in a circle.
function fibers.join(actor)
    local other = fibers.other_with_handle(actor, function(other)
        return other.id > actor.id and not other.joiner
    end)
    if other then
        fibers.join_with(actor, other)
    end
end

function fibers.join_with(actor, other)
    local handle = other.handle
    actor:check(handle.joinable, "%s is not joinable", other)
    local call = {name = "join " .. tostring(other)}
    function call.is_stuck()
        return fibers.has_ended(other) and "it has ended"
    end
    function call.allows(err)
        return other.ending == "raised" and rawequal(err, other.err)
    end
    other.joiner = actor
    local results = pack(actor:try(call, handle.join, handle))
    other.joiner = nil
    if results[1] or call.allows(results[2]) then
        other.handle = nil
        check_joined(actor, other, handle, results)
    else
        actor:check(handle.joinable, "%s is not joinable after a join given up", other)
        actor:react(results[2])
    end
end

function fibers.let_go(actor)
    local other = fibers.other_with_handle(actor, function(other)
        return not other.joiner
    end)
    if not other then
        return
    end
    if actor:chance(2) then
        other.handle:detach()
        actor:check(not other.handle.joinable, "joinable after detach")
    end
    other.handle = nil
    if other.ending == "raised" then
        actor.world:expect_report(other.err, other)
    end
end

function fibers.interrupt_whom(world, other)
    other.handle:interrupt()
    if other.n_ends == 0 then
        other.is_interrupted = true
    end
    world:note(other, "is interrupted")
end

function fibers.interrupt(actor)
    local other = fibers.other_with_handle(actor, function()
        return true
    end)
    if other then
        fibers.interrupt_whom(actor.world, other)
    end
end

function fibers.yield(actor)
    local ok, err = actor:try({name = "yield"}, this_fiber.yield)
    if not ok then
        actor:react(err)
    end
end

-- What must not be done with a fiber: resume it.
function fibers.resume(actor)
    local id = actor.dice(actor.world.n_actors)
    local thread = actor.world.threads[id]
    if not thread or actor:may_be_interrupted() then
        return
    end
    local other = actor.world.actors[id]
    local is_at_work = other and other ~= actor and not fibers.has_ended(other)
    local is_resumed, ok, err = Actor.pcall(coroutine.resume, thread)
    if is_resumed then
        actor:check(not ok and tostring(err):find("^cannot resume"), "resumed actor %d: %s", id,
            err)
        actor:check(not is_at_work, "resume of actor %d has not raised", id)
    else
        actor:check(ok == thrum.generic_error.EPERM, "resume of actor %d: %s", id, ok)
    end
    if is_at_work then
        local status = coroutine.status(thread)
        actor:check(status == "normal", "the fiber of %s is %s", other, status)
    end
end

-- Nor join itself.
function fibers.misuse(actor)
    local handle = actor.handle
    if not handle then
        return
    end
    local ok, err = Actor.pcall(handle.join, handle)
    actor:check(not ok, "a fiber has joined itself")
    actor:check(err == thrum.generic_error.EDEADLK, "EDEADLK expected, got %s", tostring(err))
    ok = Actor.pcall(function() return handle.interruption_caught end)
    actor:check(not ok, "interruption_caught before join")
    actor:check(this_fiber.id == actor.fiber_id and not this_fiber.is_main, "another's id")
end

fibers.steps = {
    {12, fibers.yield}, {6, fibers.fork}, {3, fibers.interrupt}, {1, fibers.let_go},
    {1, fibers.misuse}, {1, fibers.resume},
}
fibers.waiting_steps = {{5, fibers.join}}

return fibers
