-- SPDX-License-Identifier: BSL-1.0
-- Steps with fiber.select and fiber.group. Of a select's cases exactly one happens. A group leaves
-- no child behind, its first error interrupts the others and is raised, the others' are reported.
local h, stress = ...
local thrum = h.thrum
local fiber, pcall, scope, push = thrum.fiber, thrum.pcall, thrum.scope, thrum.scope_cleanup_push
local fibers, channels, sync, timers = stress.fibers, stress.channels, stress.sync, stress.timers
local now = thrum.time.steady_clock.now
local generic = thrum.generic_error
local EINVAL, ETIMEDOUT = generic.EINVAL, generic.ETIMEDOUT

local groups = {}

-- ---- select ----
--
-- A case: `thing`, for the list; is_ready(), while it waits; begin(); won(value) or lost(); and
-- allows(err), whether it may end the whole.

local function receive_case(actor)
    local line = actor:pick(actor.world.lines)
    return {
        thing = line.channel,
        is_ready = channels.new_receive_call(line).is_stuck,
        begin = function()
            line.n_receiving = line.n_receiving + 1
        end,
        won = function(value)
            line.n_receiving = line.n_receiving - 1
            if value == nil then
                actor:check(line.is_closed, "select: the channel was not closed")
            else
                channels.check_value(actor, line, value)
            end
        end,
        lost = function()
            line.n_receiving = line.n_receiving - 1
        end,
    }
end

local function send_case(actor)
    local line = actor:pick(actor.world.lines)
    local value = channels.new_value(actor, line)
    return {
        thing = {line.channel, value},
        is_ready = channels.new_send_call(line).is_stuck,
        allows = channels.new_send_call(line).allows,
        begin = function()
            channels.begin_send(line, value)
        end,
        won = function()
            channels.end_send(actor, line, value, true)
        end,
        lost = function()
            channels.end_send(actor, line, value, false)
        end,
    }
end

local function semaphore_case(actor)
    if actor.n_held > 0 then
        return nil -- two who hold what the other waits for would wait for ever
    end
    local sem = actor:pick(actor.world.semaphores)
    return {
        thing = sem.semaphore,
        is_ready = function()
            return (sem.semaphore.count > 0 or sem.n_held < sem.total) and "there is one"
        end,
        won = function()
            sem.n_held = sem.n_held + 1
            sync.check_count(actor, sem)
            sync.release(actor, sem)
        end,
    }
end

local function timer_case(actor)
    local timer = actor:pick(actor.world.timers)
    local call, expiry = timers.new_wait_call(timer), timer.timer.expiry
    local n_resets = timer.n_resets
    return {
        thing = timer.timer,
        is_ready = call.is_stuck,
        allows = call.allows,
        begin = function()
            timer.n_waiting = timer.n_waiting + 1
        end,
        won = function()
            timer.n_waiting = timer.n_waiting - 1
            local was_reset = timer.n_resets ~= n_resets -- while something else was looked at
            actor:check(was_reset or timer.now() >= expiry - 0.000001, "select: a timer was early")
        end,
        lost = function()
            timer.n_waiting = timer.n_waiting - 1
        end,
    }
end

local function fiber_case(actor)
    local other = fibers.other_with_handle(actor, function(other)
        return other.id > actor.id -- as with join, and not while it holds a lock
    end)
    if actor.n_held > 0 then
        return nil
    end
    return other and {
        thing = other.handle,
        is_ready = function()
            return fibers.has_ended(other) and "a fiber has ended"
        end,
        allows = function(err)
            return err == EINVAL and not other.handle
        end,
        won = function()
            actor:check(fibers.has_ended(other), "select: %s has not ended", other)
        end,
    }
end

local kinds = {receive_case, send_case, semaphore_case, timer_case, fiber_case}

-- Different things: what one select gives another of its cases would take.
local function pick_cases(actor)
    local cases, seen = {}, {}
    for _ = 1, actor.dice(4) do
        local case = actor:pick(kinds)(actor)
        local thing = case and (type(case.thing) == "table" and case.thing[1] or case.thing)
        if case and not seen[thing] then
            seen[thing] = true
            cases[#cases + 1] = case
        end
    end
    return cases
end

local function any(cases, question, ...)
    for _, case in ipairs(cases) do
        local answer = case[question] and case[question](...)
        if answer then
            return answer
        end
    end
end

local function tell(cases, winner, value)
    for i, case in ipairs(cases) do
        if i == winner then
            case.won(value)
        elseif case.lost then
            case.lost()
        end
    end
end

local function select_one(actor)
    local cases, list = pick_cases(actor), {}
    for i, case in ipairs(cases) do
        list[i] = case.thing
    end
    local timeout = actor:pick {0, 0.00002, 0.0005, 60, false} or nil
    list.timeout = #list == 0 and 0 or timeout
    local call = {name = ("fiber.select of %d"):format(#list), allows = function(err)
        return any(cases, "allows", err)
    end, is_stuck = function()
        if timeout and now() > actor.call.begun + timeout then
            return "its time is over"
        end
        return any(cases, "is_ready")
    end}
    local ok, winner, value = actor:try(call, function()
        any(cases, "begin")
        return fiber.select(list)
    end)
    tell(cases, ok and winner, value)
    if ok and not winner then
        local is_late = list.timeout and now() >= call.begun + list.timeout
        actor:check(is_late, "select has given up early")
    end
    return ok, winner
end

function groups.select(actor)
    local ok, err = sync.maybe_limited(actor, select_one, actor)
    if not ok then
        actor:react(err)
    end
end

-- ---- groups ----
--
-- What a group has in the model: its children; who has failed first; whether it was interrupted,
-- and with it the function; whether its join has begun, so that it may be interrupted unseen.

local function interrupt_all(group)
    group.is_interrupted = true
    for _, child in ipairs(group.children) do
        if child.n_ends == 0 then
            child.is_interrupted = true
        end
    end
end

-- A child has come to its end.
function groups.note_end(child)
    local group = child.group
    if child.ending ~= "raised" then
        return
    end
    group.raised[#group.raised + 1] = child
    if group.is_dropped then
        child.world:expect_report(child.err, child)
    end
    if not group.first then
        group.first, group.is_certain = child, not group.is_over
        interrupt_all(group)
    end
end

local function spawn_child(actor, group)
    local world = actor.world
    if world.n_actors >= world.size.n_actors then
        return
    end
    local child = fibers.spawn(world, actor.dice(1 << 60), actor.dice(world.size.n_steps),
        "dropped", function(...)
            return group.handle:spawn(...)
        end)
    child.group = group
    child.is_interrupted = group.is_interrupted
    table.insert(group.children, child)
end

local function new_group(actor)
    local group = {children = {}, raised = {}, actor = actor, n_cleanups = actor.n_cleanups,
        n_disabled = actor.n_disabled}
    actor.world.open_groups[group] = true
    return group
end

-- Nobody will join it: what its children have raised, and will raise, is reported.
local function drop(world, group)
    world.open_groups[group] = nil
    group.handle, group.is_dropped = nil, true
    for _, child in ipairs(group.raised) do
        world:expect_report(child.err, child)
    end
end

-- All have ended. A group that nobody has joined was in a coroutine that was dropped.
function groups.drop_open(world)
    local group = next(world.open_groups)
    while group do
        drop(world, group)
        group = next(world.open_groups)
    end
end

local function fill(actor, group)
    for _ = 1, actor.dice(3) do
        spawn_child(actor, group)
        actor:deeper(1)
    end
    actor:check(#group.handle <= #group.children, "a group has more children than it got")
    if actor:chance(6) then
        group.handle:interrupt()
        interrupt_all(group)
        actor:deeper(1)
    end
end

-- The join is over: so are the children. `err` is what it has raised.
local function finish_group(actor, group, err)
    actor.world.open_groups[group] = nil
    actor.world:note(actor, "has joined a group of", #group.children, err)
    for _, child in ipairs(group.children) do
        actor:check(child.n_starts == 1, "%s never ran", child)
        actor:check(fibers.has_ended(child), "%s was left behind by its group", child)
    end
    actor:check(#group.handle == 0, "a group that was joined has %d children", #group.handle)
    if group.is_certain then
        actor:check(rawequal(err, group.first.err), "a group raised '%s', not its first error '%s'",
            tostring(err), tostring(group.first.err))
    end
    for _, child in ipairs(group.raised) do
        if not rawequal(child.err, err) then
            actor.world:expect_report(child.err, child)
        end
    end
end

local function is_childs(group, err)
    for _, child in ipairs(group.raised) do
        if rawequal(child.err, err) then
            return true
        end
    end
    return false
end

-- The group has raised it, and nobody in it.
local function time_out(actor, mark)
    actor.flying = nil
    actor:go_back(mark)
    actor:spend {name = "fiber.group", begun = now()}
end

-- The function's own error comes to light, or it came after a child's and is reported.
local function settle_error(actor, group, err, mark)
    local flying = actor.flying
    if is_childs(group, err) then
        if flying and not rawequal(flying.value, err) and not h.is_interruption(flying.value) then
            actor.world:expect_report(flying.value, actor)
        end
        actor.flying = nil
        actor:go_back(mark)
    elseif err == ETIMEDOUT and not (flying and rawequal(flying.value, err)) then
        time_out(actor, mark)
    else
        if not (flying and rawequal(flying.value, err)) then
            actor.flying = nil
        end
        actor:caught(err, mark)
    end
end

function groups.nursery(actor)
    local mark, frame, token = actor:mark(), actor.frame, {}
    local group = new_group(actor)
    local must = actor:must_be_interrupted() or actor:is_overdue(now())
    actor.n_grouped = actor.n_grouped + 1
    actor.world:note(actor, "begins fiber.group")
    local ok, value = pcall(fiber.group, function(handle, argument)
        actor:check(not must, "fiber.group was no interruption point")
        actor:check(argument == token, "fiber.group has lost an argument")
        group.handle = handle
        frame.groups[#frame.groups + 1] = group
        return scope(function()
            push(function()
                group.is_over = true
            end)
            fill(actor, group)
            return token
        end)
    end, token)
    actor.n_grouped = actor.n_grouped - 1
    if not group.handle then -- it did not begin
        actor.world.open_groups[group] = nil
        if value == ETIMEDOUT then
            time_out(actor, mark)
        else
            actor:caught(value, mark)
        end
        return actor:react(value)
    end
    frame.groups[mark.n_groups + 1] = nil
    if ok then
        actor:check(value == token or value == nil and group.is_interrupted, "other results")
        actor.flying = nil
        actor:go_back(mark)
        return finish_group(actor, group)
    end
    settle_error(actor, group, value, mark)
    finish_group(actor, group, value)
    actor:react(value)
end

-- The same by hand. One that is dropped has its errors reported.
function groups.by_hand(actor)
    if actor:may_be_interrupted() then
        return -- pcall is a point, and the group would be dropped unseen
    end
    local group = new_group(actor)
    group.handle = fiber.group()
    local mark = actor:mark()
    local ok, err = pcall(fill, actor, group)
    if not ok or actor:chance(4) then
        drop(actor.world, group)
        if not ok then
            actor:caught(err, mark)
            actor:react(err)
        end
        return
    end
    local call = {name = "fiber.group.join", outranks = function(raised)
        return is_childs(group, raised)
    end, is_excused = function()
        return true -- it waits for the last child, whatever comes
    end}
    ok, err = actor:try(call, function()
        group.is_over = true
        return group.handle:join()
    end)
    finish_group(actor, group, not ok and err or nil)
    if not ok then
        actor:react(err)
    end
end

function groups.list(actor)
    local found = false
    for _, entry in ipairs(fiber.list()) do
        if entry.id == actor.fiber_id then
            found = entry
        end
    end
    actor:check(found and found.state == "running", "fiber.list does not know who runs")
end

groups.waiting_steps = {{3, groups.nursery}, {2, groups.by_hand}}
groups.steps = {{4, groups.select}, {1, groups.list}}

function groups.set_up(world)
    world.open_groups = {}
end

return groups
