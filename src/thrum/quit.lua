-- SPDX-License-Identifier: BSL-1.0
-- What SIGQUIT writes. It is given what quit.c has: wait, which suspends until there was a signal,
-- and above, which has a function write above the prompt of a session. It answers the fiber that
-- reports each signal, and the report by itself.
local thrum = require "thrum"
local wait, above = ...
local fiber, this_fiber, steady_clock = thrum.fiber, thrum.this_fiber, thrum.time.steady_clock

local own_id

local function describe(entry, now)
    local text = "fiber " .. entry.id
    if entry.name then
        text = text .. ' "' .. entry.name .. '"'
    end
    if entry.is_main then
        text = text .. " (main)"
    end
    text = text .. ": " .. (entry.waits_for and "waits in " .. entry.waits_for or entry.state)
    if entry.since then
        text = text .. (", %.1f s"):format(now - entry.since)
    end
    return text .. "\n" .. entry.traceback .. "\n"
end

local report = above(function()
    local now = steady_clock.now()
    local texts = {}
    for _, entry in ipairs(fiber.list()) do
        if entry.id ~= own_id then
            texts[#texts + 1] = describe(entry, now)
        end
    end
    io.stderr:write("thrum: ", #texts, #texts == 1 and " fiber\n" or " fibers\n",
        table.concat(texts))
end)

local function report_each()
    own_id = this_fiber.id
    while true do
        wait()
        report()
    end
end

return fiber.named("fibers on quit", report_each), report
