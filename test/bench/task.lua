-- SPDX-License-Identifier: BSL-1.0
-- One task of one scheduler, `count` operations of it: prints the processor time that it took,
-- user's and kernel's: `cpu=SECONDS`. Arguments: the scheduler, the task, the count, and a number
-- of the task's own, such as how many fibers take part. With the scheduler alone: its tasks' names.
local scheduler = dofile((arg[0]:match("^.*/") or "") .. "scheduler/" .. arg[1] .. ".lua")
local name, count, size = arg[2], tonumber(arg[3]), tonumber(arg[4])

if name then
    collectgarbage()
    collectgarbage()
    local before = os.clock()
    scheduler.task[name](count, size)
    io.stdout:write(string.format("cpu=%.6f\n", os.clock() - before))
else
    for known in pairs(scheduler.task) do
        io.stdout:write(known, "\n")
    end
end
