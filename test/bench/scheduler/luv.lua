-- SPDX-License-Identifier: BSL-1.0
-- luv, the libuv binding, for task.lua and sleepers.lua. It has no coroutines of its own: each is
-- resumed by the callback of the timer that it waits for.
local uv = require "luv"

local scheduler = {}

function scheduler.now()
    return uv.hrtime() / 1e9
end

function scheduler.run(main)
    scheduler.go(main)
    uv.run()
end

function scheduler.go(f)
    assert(coroutine.resume(coroutine.create(f)))
end

function scheduler.sleep(seconds)
    local co, timer = coroutine.running(), uv.new_timer()
    uv.update_time()
    timer:start(math.max(0, math.ceil(seconds * 1000)), 0, function()
        timer:close()
        assert(coroutine.resume(co))
    end)
    return coroutine.yield()
end

local task = {}
scheduler.task = task

-- n coroutines wait, each for a timer of its own, which is then stopped and the coroutine told.
function task.timer(count, n)
    local timers, threads = {}, {}
    for i = 1, n do
        timers[i] = uv.new_timer()
        threads[i] = coroutine.create(function()
            local co = threads[i]
            local function wake()
                assert(coroutine.resume(co))
            end
            while true do
                timers[i]:start(60000, 0, wake)
                coroutine.yield()
            end
        end)
        assert(coroutine.resume(threads[i]))
    end
    for _ = 1, count // n do
        for i = 1, n do
            timers[i]:stop()
            assert(coroutine.resume(threads[i], "cancelled"))
        end
    end
end

function task.sleep(count, n)
    for _ = 1, n do
        scheduler.go(function()
            local co, timer = coroutine.running(), uv.new_timer()
            local function wake()
                assert(coroutine.resume(co))
            end
            for _ = 1, count // n do
                timer:start(0, 0, wake)
                coroutine.yield()
            end
            timer:close()
        end)
    end
    uv.run()
end

return scheduler
