-- SPDX-License-Identifier: BSL-1.0
-- Steps with steps inside: protected calls, scopes, coroutines, timeouts, and the blocks that
-- forbid something. They nest in each other.
local h, stress = ...
local Actor = stress.Actor
local thrum = h.thrum
local this_fiber, coroutine, time = thrum.this_fiber, thrum.coroutine, thrum.time
local pcall, xpcall, scope = thrum.pcall, thrum.xpcall, thrum.scope
local push, pop = thrum.scope_cleanup_push, thrum.scope_cleanup_pop
local pack, unpack = table.pack, table.unpack
local now = time.steady_clock.now

local context = {}

local function check_point(actor, must, name)
    actor:check(not must, "%s was no interruption point", name)
end

-- ---- protected calls ----

function context.pcall(actor)
    local mark, token = actor:mark(), {}
    local must = actor:must_be_interrupted()
    local results = pack(pcall(function(...)
        check_point(actor, must, "pcall")
        actor:deeper(3)
        return ...
    end, token, nil))
    if not results[1] then
        actor:caught(results[2], mark)
        return actor:react(results[2])
    end
    actor:check(results.n == 3 and results[2] == token, "pcall has changed the results")
end

function context.xpcall(actor)
    local mark, handled = actor:mark(), nil
    local must = actor:must_be_interrupted()
    local ok, outcome = xpcall(function(n)
        check_point(actor, must, "xpcall")
        actor:deeper(n)
    end, function(err)
        actor:check(debug.traceback():find("traceback", 1, true), "no traceback")
        handled = {err = err}
        return handled
    end, 3)
    if not ok then
        actor:check(rawequal(outcome, handled), "xpcall has dropped its handler's result")
        actor:caught(handled.err, mark)
        return actor:react(handled.err)
    end
end

-- ---- scopes and cleanup handlers ----

-- What a handler does: it may wait, but must not raise.
local function clean_up(actor)
    if actor:chance(3) then
        actor:try({name = "yield in a handler"}, this_fiber.yield)
    elseif actor:chance(3) then
        actor:try({name = "sleep in a handler"}, time.sleep, 0.00001)
    elseif actor:chance(3) then
        actor:steps(1)
    end
end

-- Push a handler that checks its turn. `entry.n_runs` tells how often it has run.
local function push_handler(actor)
    local frame = actor.frame
    local entry = {n_runs = 0}
    frame.handlers[#frame.handlers + 1] = entry
    push(function()
        local runner = Actor.current() -- the actor that resumed the coroutine whose scope has ended
        entry.n_runs = entry.n_runs + 1
        runner.n_cleanups = runner.n_cleanups + 1
        pcall(function()
            local top = table.remove(frame.handlers)
            runner:check(entry.n_runs == 1, "a cleanup handler runs again")
            runner:check(top == entry, "cleanup handlers run in another order")
            clean_up(runner)
        end)
        runner.n_cleanups = runner.n_cleanups - 1
    end)
    return entry
end

local function pop_handler(actor, entry)
    if actor:chance(3) then
        pop()
    elseif actor:chance(2) then
        pop(true)
    else
        table.remove(actor.frame.handlers)
        entry.n_runs = 1
        pop(false)
    end
    actor:check(entry.n_runs == 1, "scope_cleanup_pop has not run the handler")
end

function context.scope(actor)
    local frame, entries, token = actor.frame, {}, {}
    local n_before = #frame.handlers
    local is_protected = not actor:chance(2)
    local must = is_protected and actor:must_be_interrupted() -- scope itself is no such point
    local function body()
        check_point(actor, must, "pcall round scope")
        for i = 1, actor.dice(3) do
            entries[i] = push_handler(actor)
            actor:deeper(1)
        end
        if actor:chance(3) then
            pop_handler(actor, table.remove(entries))
        end
        actor:deeper(1)
        return token
    end
    local mark = actor:mark()
    local ok, err
    if is_protected then
        ok, err = pcall(scope, body)
    else
        actor:check(scope(body) == token, "scope has changed the results")
        ok = true
    end
    for _, entry in ipairs(entries) do
        actor:check(entry.n_runs == 1, "a cleanup handler has not run")
    end
    actor:check(#frame.handlers == n_before, "cleanup handlers were left")
    if not ok then
        actor:caught(err, mark)
        actor:react(err)
    end
end

-- ---- coroutines ----

-- Resume `co` in a frame of its own.
local function resume(actor, frame, co, ...)
    local mark = actor:mark()
    local must = actor:must_be_interrupted()
    frame.parent = actor.frame
    actor.frame = frame
    frame.must = must
    local results = pack(coroutine.resume(co, ...))
    actor:check(actor.frame == frame or not results[1], "another frame came back")
    if results[1] then
        actor:go_back(mark)
    else
        actor:caught(results[2], mark)
    end
    return unpack(results, 1, results.n)
end

local function check_entry(actor, frame)
    check_point(actor, frame.must, "coroutine.resume")
    local co, is_main = coroutine.running()
    actor:check(coroutine.status(co) == "running" and not is_main, "running() is wrong")
    actor:check(coroutine.isyieldable(), "a coroutine is not yieldable")
    actor:check(Actor.current() == actor, "local_ is another in a coroutine")
end

function context.coroutine(actor)
    local frame, token = Actor.new_frame(actor.frame), {}
    frame.is_coroutine = true
    local co = coroutine.create(function(first)
        check_entry(actor, frame)
        actor:check(first == token, "resume has lost its argument")
        if actor:chance(3) then
            push_handler(actor)
        end
        actor:deeper(4)
        return token, nil
    end)
    frame.answer = token
    repeat
        local ok, value, nothing = resume(actor, frame, co, frame.answer)
        if not ok then
            actor:check(coroutine.status(co) == "dead", "a coroutine lives after its error")
            actor:check(#frame.handlers == 0, "a coroutine's handlers have not run")
            return actor:react(value)
        elseif coroutine.status(co) == "dead" then
            actor:check(value == token and nothing == nil, "a coroutine's results are others")
            actor:check(#frame.handlers == 0, "a coroutine's handlers have not run")
            return
        end
        actor:check(coroutine.status(co) == "suspended", "neither dead nor suspended")
        actor:check(value == frame.token, "resume gives what was not yielded")
        frame.answer = {}
        actor:deeper(1)
    until actor:chance(10) -- dropped in the middle
end

-- The user's own yield, from wherever the coroutine is.
function context.yield(actor)
    local frame = actor.frame
    local token = {}
    frame.token = token
    local answer = coroutine.yield(token)
    actor:check(Actor.current() == actor, "a coroutine has gone on in another fiber")
    actor:check(answer == frame.answer, "yield gives what was not passed to resume")
end

-- coroutine.wrap puts the position before an error that is a string.
local function rethrow_wrapped(actor, err)
    local flying = actor.flying
    if type(err) == "string" and flying and type(flying.value) == "string" then
        actor:check(err:sub(-#flying.value) == flying.value, "wrap has changed the error: %s", err)
        flying.value = err
    end
    error(err, 0)
end

-- A for loop over a wrapped coroutine that waits between its yields.
function context.wrap(actor)
    local mark = actor:mark()
    local frame, last = Actor.new_frame(actor.frame), 0
    local n = actor.dice(4)
    local step = coroutine.wrap(function()
        for i = 1, n do
            check_point(actor, frame.must, "a wrapped coroutine")
            actor:deeper(1)
            coroutine.yield(i)
        end
    end)
    local function advance()
        frame.must = actor:must_be_interrupted()
        actor.frame = frame
        frame.parent = mark.frame
        if frame.must then
            step()
        end
        local ok, i = pcall(step)
        actor.frame = mark.frame
        if not ok then
            rethrow_wrapped(actor, i)
        end
        return i
    end
    for i in advance do
        actor:check(i == last + 1, "a generator's values come in another order")
        last = i
        actor:deeper(1)
    end
    actor:check(last == n, "a generator has ended early")
end

-- ---- timeouts ----

local times = {0, 0.00002, 0.0002, 0.001, 0.005, 60}

-- A call of with_timeout whose limit the model knows.
function context.limited(actor, seconds, f, ...)
    local frame = actor.frame
    local must = actor:must_be_interrupted()
    local limit = {actor = actor, low = now() + seconds, n_cleanups = actor.n_cleanups}
    local n_limits = #frame.limits
    actor.world:note(actor, "begins with_timeout", seconds)
    local results = pack(time.with_timeout(seconds, function(...)
        check_point(actor, must, "with_timeout")
        limit.high = now() + seconds
        frame.limits[n_limits + 1] = limit
        return f(...)
    end, ...))
    frame.limits[n_limits + 1] = nil
    return unpack(results, 1, results.n)
end

function context.with_timeout(actor)
    local mark, token = actor:mark(), {}
    local function body()
        actor:deeper(3)
        return token
    end
    if actor:chance(3) then
        actor:check(context.limited(actor, actor:pick(times), body) == token, "other results")
        return
    end
    local ok, err = pcall(context.limited, actor, actor:pick(times), body)
    if not ok then
        actor:caught(err, mark)
        actor:react(err)
    end
end

-- ---- blocks that forbid ----

function context.disable_interruption(actor)
    local mark = actor:mark()
    this_fiber.disable_interruption()
    actor.n_disabled = actor.n_disabled + 1
    local inner = actor:mark()
    local ok, err = pcall(actor.deeper, actor, 3)
    if not ok then
        actor:caught(err, inner)
    end
    this_fiber.restore_interruption()
    actor.n_disabled = actor.n_disabled - 1
    actor:go_back(mark)
    if not ok then
        actor:react(err)
    end
end

local function raises_fiber_error(actor, text, f, ...)
    local ok, err = Actor.pcall(f, ...)
    actor:check(not ok and h.is_error(err) and tostring(err):find(text, 1, true),
        "'%s' expected, got: %s", text, tostring(err))
end

function context.forbid_suspend(actor)
    this_fiber.forbid_suspend()
    raises_fiber_error(actor, "within a forbid-suspend block",
        actor:pick {this_fiber.yield, time.sleep}, 0)
    this_fiber.allow_suspend()
end

-- C code in between that cannot be suspended.
function context.boundary(actor)
    local f = actor:pick {
        function() string.gsub("x", "x", function() this_fiber.yield() end) end,
        function() table.sort({1, 2, 3}, function() time.sleep(0) end) end,
    }
    raises_fiber_error(actor, "C code that cannot be suspended", f)
end

-- An error of the program's own: the value must arrive untouched.
function context.raise(actor)
    local id = ("error %d of actor %d"):format(actor.dice(1 << 30), actor.id)
    actor:throw(actor:pick {id, {id}, actor.dice(1 << 30) + 0.5, setmetatable({}, {__name = id})})
end

-- ---- shared coroutines ----

-- A coroutine that any fiber may resume, a step each time, now and then inside a timeout that
-- holds for the one who began it only.
local function new_generator()
    local generator = {frame = Actor.new_frame()}
    generator.co = coroutine.create(function()
        push_handler(Actor.current()) -- run by the actor that is there at the end
        for _ = 1, 6 do
            local actor = Actor.current()
            if actor:chance(3) then
                context.limited(actor, 0.001, function()
                    coroutine.yield()
                    Actor.current():deeper(1)
                end)
            else
                actor:deeper(1)
            end
            coroutine.yield()
        end
    end)
    return generator
end

function context.share(actor)
    local list = actor.world.generators
    local i = actor.dice(3)
    local generator = list[i]
    if not generator or coroutine.status(generator.co) == "dead" then
        generator = new_generator()
        list[i] = generator
    end
    local status = coroutine.status(generator.co)
    if generator.user then
        actor:check(status == "normal" or status == "running", "one in use is %s", status)
        if not actor:may_be_interrupted() then
            local is_own = generator.user == actor
            local has_returned, ok, err = pcall(coroutine.resume, generator.co)
            if has_returned then
                actor:check(not ok and is_own, "a coroutine in use was resumed: %s, %s", ok, err)
            else
                actor:check(not is_own and ok == thrum.generic_error.EPERM,
                    "resume of a coroutine in use: %s", ok)
            end
        end
        return
    end
    actor:check(status == "suspended", "a coroutine is %s", status)
    if actor:may_be_interrupted() then
        return
    end
    generator.user = actor
    local ok, err = resume(actor, generator.frame, generator.co)
    generator.user = nil
    if coroutine.status(generator.co) == "dead" then
        actor:check(#generator.frame.handlers == 0, "a coroutine's handlers have not run")
    end
    if not ok then
        actor:react(err)
    end
end

context.steps = {
    {4, context.pcall}, {2, context.xpcall}, {4, context.scope}, {4, context.coroutine},
    {3, context.wrap}, {6, context.with_timeout}, {2, context.disable_interruption},
}
context.small_steps = {
    {1, context.forbid_suspend}, {1, context.boundary}, {2, context.raise}, {3, context.share},
}
context.push_handler = push_handler

return context
