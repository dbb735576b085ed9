-- SPDX-License-Identifier: BSL-1.0
-- Lua's own coroutines with nothing around them, for task.lua and sleepers.lua: the floor.
local create, resume, yield = coroutine.create, coroutine.resume, coroutine.yield

local scheduler, asleep = {}, {}

-- Without a clock it is too late to wait for anything; a main thread that sleeps nevertheless wakes
-- all others.
function scheduler.now()
    return math.huge
end

function scheduler.sleep()
    if coroutine.isyieldable() then
        return yield()
    end
    for i = 1, #asleep do
        assert(resume(asleep[i]))
    end
end

function scheduler.run(main)
    main()
end

function scheduler.go(f)
    local co = create(f)
    asleep[#asleep + 1] = co
    assert(resume(co))
end

local task = {}
scheduler.task = task

function task.spawn(count)
    local function nothing() end
    local list = {}
    for _ = 1, count // 100 do
        for i = 1, 100 do
            list[i] = create(nothing)
        end
        for i = 1, 100 do
            resume(list[i])
        end
    end
end

function task.yield(count, n)
    local list = {}
    for i = 1, n do
        list[i] = create(function()
            while true do
                yield()
            end
        end)
    end
    for _ = 1, count // n do
        for i = 1, n do
            resume(list[i])
        end
    end
end

function task.pair(count)
    local co = create(function()
        while true do
            yield()
        end
    end)
    for _ = 1, count do
        resume(co)
    end
end

-- What a channel is without a scheduler: the one who receives resumes the one who sends.
function task.channel(count)
    local producer = create(function()
        for k = 1, count do
            yield(k)
        end
    end)
    for _ = 1, count do
        resume(producer)
    end
end

return scheduler
