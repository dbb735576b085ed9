-- SPDX-License-Identifier: BSL-1.0
-- Many fibers that sleep at the same time: prints what each adds to the process, and the processor
-- time, user's and kernel's, that it takes to make them and to wake them all: `lua=BYTES
-- process=BYTES made=SECONDS woken=SECONDS`. Arguments: the scheduler, how many, within how many
-- seconds they wake, and how long the first of them sleeps. Status 3 if that was too short to have
-- all of them asleep by then.
local here = arg[0]:match("^.*/") or ""
local measured = dofile(here .. "measured.lua")
local scheduler = dofile(here .. "scheduler/" .. arg[1] .. ".lua")
local count, window, patience = tonumber(arg[2]), tonumber(arg[3]), tonumber(arg[4])
local now, sleep, go = scheduler.now, scheduler.sleep, scheduler.go

local MARGIN = 0.2 -- seconds that the main fiber is up before the first of the others
local STEP = 7919 -- a prime: they are not made in the order in which they wake

local n_begun, n_woken = 0, 0

local function make_all(first)
    for i = 1, count do
        local due = first + i * STEP % count / count * window
        go(function()
            n_begun = n_begun + 1
            sleep(due - now())
            n_woken = n_woken + 1
        end)
    end
    while n_begun < count do
        sleep(0.001)
    end
end

local function wait_until(time)
    local left = time - now()
    if left > 0 then
        sleep(left)
    end
end

local function wake_all(first)
    wait_until(first + window)
    while n_woken < count do
        sleep(0.001)
    end
end

scheduler.run(function()
    local lua_before, process_before = measured()
    local first, begin = now() + patience, os.clock()
    make_all(first)
    local made = os.clock() - begin

    local lua_after, process_after = measured()
    wait_until(first - MARGIN)
    if n_woken > 0 or now() > first then
        os.exit(3)
    end
    begin = os.clock()
    wake_all(first)
    local woken = os.clock() - begin
    io.stdout:write(string.format("lua=%.1f process=%.1f made=%.6f woken=%.6f\n",
        (lua_after - lua_before) / count, (process_after - process_before) / count, made, woken))
end)
