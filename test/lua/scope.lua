-- SPDX-License-Identifier: BSL-1.0
-- scope, cleanup handlers, and the fiber-aware pcall and xpcall.
local h, t = ...
local lu, thrum = h.lu, h.thrum
local spawn, this_fiber, time = thrum.spawn, thrum.this_fiber, thrum.time
local scope, push, pop = thrum.scope, thrum.scope_cleanup_push, thrum.scope_cleanup_pop
local pcall, xpcall, coroutine = thrum.pcall, thrum.xpcall, thrum.coroutine

-- A handler that notes its name, and a list to note in.
local function new_log()
    local log = {}
    return log, function(name)
        return function() log[#log + 1] = name end
    end
end

-- scope

t["test scope returns what its function returns, nil and many values included"] = function()
    lu.assertEquals(table.pack(scope(function() end)), {n = 0})
    lu.assertEquals(table.pack(scope(function() return nil, 1, nil end)), {nil, 1, nil, n = 3})
    local many = table.pack(scope(function() return table.unpack({}, 1, 200) end))
    lu.assertEquals(many.n, 200)
end

t["test scope raises the error of its function, the same value"] = function()
    local value = {}
    for _, err in ipairs {value, "text", 17, false} do
        local ok, got = pcall(scope, function() error(err, 0) end)
        lu.assertFalse(ok)
        lu.assertTrue(rawequal(got, err))
    end
    local ok, got = pcall(scope, function() error(nil, 0) end)
    lu.assertFalse(ok)
    lu.assertNil(got)
end

t["test handlers run in reverse order at the end of their scope"] = function()
    local log, note = new_log()
    scope(function()
        push(note "a")
        push(note "b")
        push(note "c")
        note "body"()
    end)
    lu.assertEquals(log, {"body", "c", "b", "a"})
end

t["test handlers run when the scope ends by an error, before it is caught"] = function()
    local log, note = new_log()
    local ok, err = pcall(function()
        scope(function()
            push(note "handler")
            error("out", 0)
        end)
    end)
    note "caught"()
    lu.assertFalse(ok)
    lu.assertEquals(err, "out")
    lu.assertEquals(log, {"handler", "caught"})
end

t["test scopes nest, each with its own handlers"] = function()
    local log, note = new_log()
    scope(function()
        push(note "outer 1")
        scope(function()
            push(note "inner")
            scope(function() end)
        end)
        push(note "outer 2")
        scope(function() note "empty"() end)
    end)
    lu.assertEquals(log, {"inner", "empty", "outer 2", "outer 1"})
end

t["test a handler gets no arguments, and its results are dropped"] = function()
    local count
    lu.assertEquals(table.pack(scope(function()
        push(function(...)
            count = select("#", ...)
            return 1, 2, 3
        end)
        return "result"
    end)), {"result", n = 1})
    lu.assertEquals(count, 0)
end

t["test a handler may have a scope, and handlers, of its own"] = function()
    local log, note = new_log()
    scope(function()
        push(note "last")
        push(function()
            scope(function()
                push(note "inner")
                note "handler"()
            end)
        end)
    end)
    lu.assertEquals(log, {"handler", "inner", "last"})
end

t["test a handler pushed by a handler outside any other scope runs next"] = function()
    local log, note = new_log()
    scope(function()
        push(note "a")
        push(function() push(note "pushed late") end)
    end)
    lu.assertEquals(log, {"pushed late", "a"})
end

t["test handlers may suspend"] = function()
    local log, note = new_log()
    spawn(note "other"):detach()
    scope(function()
        push(note "a")
        push(function()
            time.sleep(0.001)
            note "b"()
        end)
    end)
    lu.assertEquals(log, {"other", "b", "a"})
end

t["test handlers run with interruption disabled, and it is back afterwards"] = function()
    local log, note = new_log()
    local fiber = h.start(function()
        scope(function()
            push(function()
                time.sleep(0.001)
                this_fiber.yield()
                note "cleaned up"()
            end)
            time.sleep(3600)
        end)
        note "not here"()
    end)
    fiber:interrupt()
    fiber:join()
    lu.assertTrue(fiber.interruption_caught)
    lu.assertEquals(log, {"cleaned up"})
end

t["test an interruption while a handler waits takes effect behind the scope"] = function()
    local is_cleaned, is_behind
    local fiber = h.start(function()
        scope(function()
            push(function()
                time.sleep(0.005)
                is_cleaned = true
            end)
        end)
        is_behind = true
        time.sleep(3600)
    end)
    fiber:interrupt()
    fiber:join()
    lu.assertTrue(is_cleaned)
    lu.assertTrue(is_behind)
    lu.assertTrue(fiber.interruption_caught)
end

t["test pcall and resume inside a handler are no interruption points"] = function()
    local values
    local fiber = h.start(function()
        scope(function()
            push(function()
                values = table.pack(pcall(coroutine.wrap(function() return "ran" end)))
            end)
            time.sleep(3600)
        end)
    end)
    fiber:interrupt()
    fiber:join()
    lu.assertEquals(values, {true, "ran", n = 2})
end

-- Seen: restore_interruption in a handler took away what the handler itself relied on, the count
-- passed below zero, and the fiber could never be interrupted again. Cure: handlers have a count of
-- their own.
t["test a handler cannot restore an interruption it has not disabled"] = function()
    local fiber = h.start(function()
        scope(function()
            push(function() h.raises("EPERM", this_fiber.restore_interruption) end)
        end)
        time.sleep(3600)
    end)
    fiber:interrupt()
    fiber:join()
    lu.assertTrue(fiber.interruption_caught)
end

-- pop

t["test scope_cleanup_pop takes the newest handler off and runs it"] = function()
    local log, note = new_log()
    scope(function()
        push(note "a")
        push(note "b")
        lu.assertEquals(select("#", pop()), 0)
        push(note "c")
        pop(true)
        push(note "d")
        pop(false)
        push(note "e")
        pop(nil)
        note "body"()
    end)
    lu.assertEquals(log, {"b", "c", "e", "body", "a"})
end

t["test a popped handler runs with interruption disabled and may suspend"] = function()
    local is_done
    local fiber = h.start(function()
        push(function()
            time.sleep(0.001)
            is_done = true
        end)
        pcall(time.sleep, 3600)
        pop()
        time.sleep(0)
    end)
    fiber:interrupt()
    fiber:join()
    lu.assertTrue(is_done)
    lu.assertTrue(fiber.interruption_caught)
end

t["test scope_cleanup_pop reaches no further than its own scope"] = function()
    push(function() end)
    scope(function()
        h.raises("EINVAL", pop)
    end)
    pcall(function()
        h.raises("EINVAL", pop)
    end)
    pop()
    h.raises("EINVAL", pop)
    h.raises("EINVAL", pop, false)
end

t["test bad values are refused cleanly"] = function()
    for _, bad in ipairs {0, "f", {}, true, coroutine.create(print), io.stdout} do
        h.raises_arg(1, scope, bad)
        h.raises_arg(1, push, bad)
        lu.assertErrorMsgContains("bad argument #2 to 'xpcall' (function expected", xpcall, print,
            bad)
    end
    h.raises_arg(1, scope)
    h.raises_arg(1, push)
    h.raises_arg(1, push, nil)
    lu.assertErrorMsgContains("(function expected, got no value)", xpcall, print)
    push(function() end)
    for _, bad in ipairs {0, "false", {}, print} do
        h.raises_arg(1, pop, bad)
    end
    pop()
    lu.assertErrorMsgContains("value expected", pcall)
end

-- root scopes

t["test a fiber's root scope ends with its function, before a joiner goes on"] = function()
    local log, note = new_log()
    local fiber = spawn(function()
        push(note "a")
        push(function()
            time.sleep(0.001)
            note "b"()
        end)
        return "result", nil
    end)
    lu.assertEquals(table.pack(fiber:join()), {"result", nil, n = 2})
    note "joined"()
    lu.assertEquals(log, {"b", "a", "joined"})
end

t["test a fiber's root scope runs its handlers after errors and interruptions"] = function()
    local log, note = new_log()
    local failing = spawn(function()
        push(note "error")
        error("out", 0)
    end)
    local ok, err = pcall(failing.join, failing)
    lu.assertFalse(ok)
    lu.assertEquals(err, "out")
    local interrupted = h.start(function()
        push(function()
            this_fiber.yield()
            note "interruption"()
        end)
        time.sleep(3600)
    end)
    interrupted:interrupt()
    interrupted:join()
    lu.assertTrue(interrupted.interruption_caught)
    lu.assertEquals(log, {"error", "interruption"})
end

t["test a fiber that was interrupted before it began runs its handlers"] = function()
    local log, note = new_log()
    local fiber = spawn(function()
        push(note "handler")
        scope(function() push(note "inner") end) -- no interruption point
        time.sleep(3600)
    end)
    fiber:interrupt()
    fiber:join()
    lu.assertTrue(fiber.interruption_caught)
    lu.assertEquals(log, {"inner", "handler"})
end

t["test the handlers of a root scope see their fiber"] = function()
    local id, name, is_same
    local fiber = spawn(function()
        id = this_fiber.id
        this_fiber.local_.name = "mine"
        push(function()
            name = this_fiber.local_.name
            this_fiber.yield()
            is_same = this_fiber.id == id
        end)
    end)
    fiber:join()
    lu.assertEquals(name, "mine")
    lu.assertTrue(is_same)
end

t["test a detached fiber runs its handlers, too"] = function()
    local is_done
    spawn(function()
        push(function()
            time.sleep(0)
            is_done = true
        end)
    end):detach()
    h.wait_until(function() return is_done end)
end

t["test a coroutine's root scope ends with it, by return and by error"] = function()
    local log, note = new_log()
    local co = coroutine.create(function()
        push(note "handler")
        coroutine.yield "yielded"
        note "body"()
        return "returned", nil
    end)
    lu.assertEquals(table.pack(coroutine.resume(co)), {true, "yielded", n = 2})
    lu.assertEquals(log, {})
    lu.assertEquals(table.pack(coroutine.resume(co)), {true, "returned", nil, n = 3})
    lu.assertEquals(log, {"body", "handler"})

    local value = {}
    local ok, err = pcall(coroutine.wrap(function()
        push(note "after the error")
        error(value)
    end))
    lu.assertFalse(ok)
    lu.assertTrue(rawequal(err, value))
    lu.assertEquals(log[3], "after the error")
end

t["test a coroutine's handlers are its own, not those of who resumes it"] = function()
    local log, note = new_log()
    scope(function()
        push(note "fiber")
        local wrapped = coroutine.wrap(function()
            push(note "coroutine")
            pop()
            h.raises("EINVAL", pop)
            push(note "coroutine again")
            coroutine.yield()
        end)
        wrapped()
        pop()
        wrapped()
    end)
    lu.assertEquals(log, {"coroutine", "fiber", "coroutine again"})
end

-- Seen: while the handlers of a coroutine's root scope ran, the coroutine called itself suspended
-- if it had results, and a resume called the first of them. Cause: its stack had ended and held
-- them. Cure: it is reserved until its handlers are done.
t["test a coroutine whose handlers run cannot be resumed"] = function()
    local co, status, ok, err
    co = coroutine.create(function()
        push(function()
            this_fiber.yield()
            status = coroutine.status(co)
            ok, err = coroutine.resume(co)
        end)
        return print, 2
    end)
    lu.assertEquals(table.pack(coroutine.resume(co)), {true, print, 2, n = 3})
    lu.assertEquals(status, "dead")
    lu.assertFalse(ok)
    lu.assertEquals(err, "cannot resume non-suspended coroutine")
    lu.assertEquals(coroutine.status(co), "dead")
    ok, err = coroutine.resume(co)
    lu.assertFalse(ok)
    lu.assertEquals(err, "cannot resume dead coroutine")
end

t["test an iterator that does I/O cleans up behind itself"] = function()
    local log, note = new_log()
    local function ticks(count)
        return coroutine.wrap(function()
            local timer = time.steady_timer.new()
            push(note "iterator")
            for i = 1, count do
                timer:expires_after(0)
                timer:wait()
                scope(function()
                    push(function()
                        time.sleep(0)
                        note(i)()
                    end)
                    coroutine.yield(i)
                end)
            end
        end)
    end
    scope(function()
        push(note "loop")
        for i in ticks(3) do
            time.sleep(0)
            note("got " .. i)()
        end
    end)
    lu.assertEquals(log, {"got 1", 1, "got 2", 2, "got 3", 3, "iterator", "loop"})
end

t["test an error passes through scopes of several levels of coroutines"] = function()
    local log, note = new_log()
    local value = {}
    local function level(n)
        push(note(n))
        time.sleep(0)
        if n == 0 then
            error(value)
        end
        scope(function()
            push(note("scope " .. n))
            coroutine.wrap(level)(n - 1)
        end)
    end
    local ok, err = pcall(coroutine.wrap(level), 3)
    lu.assertFalse(ok)
    lu.assertTrue(rawequal(err, value))
    lu.assertEquals(log, {0, "scope 1", 1, "scope 2", 2, "scope 3", 3})
end

t["test an interruption passes through them as well"] = function()
    local log, note = new_log()
    local fiber = h.start(function()
        local function level(n)
            push(function()
                this_fiber.yield()
                note(n)()
            end)
            if n == 0 then
                time.sleep(3600)
            end
            coroutine.wrap(level)(n - 1)
        end
        level(3)
    end)
    fiber:interrupt()
    fiber:join()
    lu.assertTrue(fiber.interruption_caught)
    lu.assertEquals(log, {0, 1, 2, 3})
end

t["test a coroutine dropped in a scope is collected, its handlers with it"] = function()
    local weak, ran = setmetatable({}, {__mode = "k"}), false
    do
        local wrapped = coroutine.wrap(function()
            scope(function()
                local marker = {}
                weak[marker] = true
                push(function() ran = marker end)
                time.sleep(0)
                coroutine.yield()
            end)
        end)
        wrapped()
    end
    spawn(function() end):join()
    collectgarbage()
    collectgarbage()
    lu.assertNil(next(weak))
    lu.assertFalse(ran)
end

-- pcall and xpcall

t["test pcall's results and error values are untouched"] = function()
    lu.assertEquals(table.pack(pcall(function() end)), {true, n = 1})
    lu.assertEquals(table.pack(pcall(function(...) return ... end, nil, 1, nil)),
        {true, nil, 1, nil, n = 4})
    lu.assertEquals(table.pack(pcall(table.unpack, {}, 1, 200)).n, 201)
    local value = setmetatable({}, {__tostring = error})
    local ok, err = pcall(error, value)
    lu.assertFalse(ok)
    lu.assertTrue(rawequal(err, value))
    lu.assertEquals(table.pack(pcall(error)), {false, nil, n = 2})
    lu.assertEquals(table.pack(pcall(error, nil)), {false, nil, n = 2})
    lu.assertEquals(table.pack(pcall(error, "tag", 0)), {false, "tag", n = 2})
    lu.assertEquals(table.pack(pcall(function(a, b) error({a, b}) end, 1, 2))[2], {1, 2})
end

t["test pcall calls what can be called, and says so of the rest"] = function()
    lu.assertEquals(table.pack(pcall(setmetatable({}, {__call = function(_, a) return a end}), 5)),
        {true, 5, n = 2})
    for _, bad in ipairs {1, "text", {}, false} do
        local ok, err = pcall(bad)
        lu.assertFalse(ok)
        h.assert_contains(err, "attempt to call a " .. type(bad) .. " value")
    end
    lu.assertFalse((pcall(nil)))
end

t["test values stay untouched over a suspension"] = function()
    lu.assertEquals(table.pack(pcall(function(...)
        time.sleep(0)
        return ...
    end, nil, 1, nil)), {true, nil, 1, nil, n = 4})
    lu.assertEquals(table.pack(pcall(function()
        time.sleep(0)
        error(nil)
    end)), {false, nil, n = 2})
    lu.assertEquals(table.pack(xpcall(function(...)
        time.sleep(0)
        return ...
    end, print, 1, nil)), {true, 1, nil, n = 3})
end

t["test pcall is a scope, ended well or by an error"] = function()
    local log, note = new_log()
    pcall(function() push(note "well") end)
    pcall(function()
        push(note "error")
        time.sleep(0)
        error "out"
    end)
    xpcall(function()
        push(note "xpcall")
        error "out"
    end, note "message handler")
    lu.assertEquals(log, {"well", "error", "message handler", "xpcall"})
end

t["test xpcall gives the error to its handler, where it was raised"] = function()
    local function raise_it()
        time.sleep(0)
        error "here"
    end
    local ok, text = xpcall(function() raise_it() end, debug.traceback)
    lu.assertFalse(ok)
    h.assert_contains(text, "here")
    h.assert_contains(text, "raise_it")
    lu.assertEquals(table.pack(xpcall(error, function(err) return {err}, 2 end, "value", 0)),
        {false, {"value"}, n = 2})
    lu.assertEquals(table.pack(xpcall(select, print, "#", nil, nil)), {true, 2, n = 2})
end

t["test an error in xpcall's handler is an error of its own"] = function()
    local ok, err = xpcall(error, function() error "again" end, "once")
    lu.assertFalse(ok)
    lu.assertNotNil(err)
end

t["test pcall and xpcall are interruption points, checked before the call"] = function()
    local self, ran
    self = spawn(function()
        self:interrupt()
        pcall(function() ran = true end)
    end)
    self:join()
    lu.assertTrue(self.interruption_caught)
    lu.assertNil(ran)
    self = spawn(function()
        self:interrupt()
        xpcall(function() ran = true end, print)
    end)
    self:join()
    lu.assertTrue(self.interruption_caught)
    lu.assertNil(ran)
end

t["test scope is no interruption point, nor are push and pop"] = function()
    local self, log
    self = spawn(function()
        self:interrupt()
        log = {scope(function()
            push(error)
            thrum.scope_cleanup_pop(false)
            return "ran"
        end)}
        pcall(print)
        log[2] = "too far"
    end)
    self:join()
    lu.assertTrue(self.interruption_caught)
    lu.assertEquals(log, {"ran"})
end

t["test a loop around pcall ends when its fiber is interrupted"] = function()
    local rounds = 0
    local fiber = h.start(function()
        while true do
            pcall(time.sleep, 3600)
            rounds = rounds + 1
        end
    end)
    fiber:interrupt()
    fiber:join()
    lu.assertTrue(fiber.interruption_caught)
    lu.assertEquals(rounds, 1)
end

t["test a suspension in pcall in a coroutine in pcall in a coroutine"] = function()
    local log, note = new_log()
    local function inner()
        return pcall(function()
            push(note "inner")
            time.sleep(0)
            coroutine.yield "up"
            this_fiber.yield()
            error("deep", 0)
        end)
    end
    local outer = coroutine.wrap(function()
        return pcall(function()
            push(note "outer")
            local wrapped = coroutine.wrap(inner)
            coroutine.yield(wrapped())
            time.sleep(0)
            return wrapped()
        end)
    end)
    lu.assertEquals(outer(), "up")
    lu.assertEquals(table.pack(outer()), {true, false, "deep", n = 3})
    lu.assertEquals(log, {"inner", "outer"})
end

t["test scopes work where C is in between, their handlers unable to suspend there"] = function()
    local log, note = new_log()
    string.gsub("x", "x", function()
        scope(function()
            push(note "handler")
            push(function() lu.assertFalse((pcall(time.sleep, 0))) end)
            note "body"()
        end)
    end)
    lu.assertEquals(log, {"body", "handler"})
end

t["test many fibers in scopes do not mix their handlers"] = function()
    local fibers = {}
    for i = 1, 50 do
        fibers[i] = spawn(function()
            local log, note = new_log()
            for k = 1, 5 do
                scope(function()
                    push(note(i * 10 + k))
                    time.sleep(0.0001 * ((i + k) % 3))
                    push(this_fiber.yield)
                end)
            end
            return log
        end)
    end
    for i = 1, 50 do
        local n = i * 10
        lu.assertEquals(fibers[i]:join(), {n + 1, n + 2, n + 3, n + 4, n + 5})
    end
end

t["test a thousand handlers in one scope"] = function()
    local count = 0
    scope(function()
        for i = 1000, 1, -1 do
            push(function()
                count = count + 1
                lu.assertEquals(count, i)
            end)
        end
    end)
    lu.assertEquals(count, 1000)
end

-- Handlers that raise end the run: in programs of their own.

local function ends_with(chunk, message)
    h.skip_without_program()
    local output, status = h.run_program("-e", chunk)
    lu.assertEquals(status, 1, output)
    h.assert_contains(output, "A cleanup handler raised an error")
    h.assert_contains(output, message)
    lu.assertNil(output:find("still here", 1, true), output)
end

local failing = "scope(function() scope_cleanup_push(function() error('boom', 0) end) end) "

t["test a handler that raises ends the program, status 1, through pcall"] = function()
    ends_with("pcall(function() " .. failing .. " end) print 'still here'", "boom")
end

t["test the same in other fibers, root scopes, coroutines, pop, after a wait"] = function()
    local go_on = "time.sleep(0) time.sleep(0) print 'still here'"
    ends_with("spawn(function() " .. failing .. "end) " .. go_on, "boom")
    ends_with("spawn(function() scope_cleanup_push(function() time.sleep(0) error 'boom' end) end) "
        .. "time.sleep(0.05) print 'still here'", "boom")
    ends_with("coroutine.wrap(function() scope_cleanup_push(error) end)() " .. go_on,
        "scope_cleanup")
    ends_with("coroutine.wrap(function() " .. failing .. "end)() " .. go_on, "boom")
    ends_with("pcall(function() scope_cleanup_push(function() error 'boom' end) "
        .. "scope_cleanup_pop() end) " .. go_on, "boom")
    ends_with("scope_cleanup_push(function() time.sleep(-1) end)", "Invalid argument")
end

t["test a handler that raises an object names what it says"] = function()
    ends_with("scope_cleanup_push(function() error(setmetatable({}, {__tostring = "
        .. "function() return 'my own words' end})) end)", "my own words")
    ends_with("scope_cleanup_push(function() error(setmetatable({}, {__tostring = error})) end)",
        "scope_cleanup")
end

-- Seen: the program crashed. Cause: the wait for the end took over the deadline of the
-- time.with_timeout around it, which nobody had made a timer for.
t["test a handler that raises inside with_timeout ends the program in order"] = function()
    ends_with("time.with_timeout(10, function() " .. failing .. " end)", "boom")
    ends_with("time.with_timeout(60, function() time.sleep(0) " .. failing .. " end)", "boom")
end

-- Seen: the program went on. Cause: where the fiber cannot be suspended the error was only raised.
t["test a handler that raises where C is in between ends the program at the next wait"] = function()
    ends_with("pcall(string.gsub, 'x', 'x', function() " .. failing .. "end) "
        .. "time.sleep(0) print 'still here'", "boom")
end

-- Seen: a coroutine that yielded from a handler left interruption disabled in its fiber, and took
-- the handler's end to another. Cure: a handler cannot yield; what it calls may have coroutines.
t["test a handler cannot yield its coroutine"] = function()
    ends_with("coroutine.wrap(function() scope_cleanup_push(coroutine.yield) end)()",
        "reserved to the scheduler") -- a root scope's handlers run where it was resumed
    ends_with("coroutine.wrap(function() scope(function() "
        .. "scope_cleanup_push(coroutine.yield) end) end)()", "a cleanup handler cannot yield")
    local values = {}
    scope(function()
        push(function()
            for i in coroutine.wrap(function()
                coroutine.yield(1)
                time.sleep(0)
                coroutine.yield(2)
            end) do
                values[#values + 1] = i
            end
        end)
    end)
    lu.assertEquals(values, {1, 2})
end

t["test the names are globals in the program and with the prelude"] = function()
    for _, name in ipairs {"scope", "scope_cleanup_push", "scope_cleanup_pop", "pcall", "xpcall"} do
        lu.assertTrue(rawequal(rawget(_G, name), thrum[name]))
    end
end
