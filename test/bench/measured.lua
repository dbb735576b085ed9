-- SPDX-License-Identifier: BSL-1.0
-- What memory the process has after a full collection: Lua's heap, and the anonymous memory that is
-- resident, which is Lua's heap, C's, and what lies between their blocks.
local function matched(path, pattern)
    local file = io.open(path)
    local kib = file and file:read("a"):match(pattern)
    if file then
        file:close()
    end
    return kib and tonumber(kib) * 1024
end

local function process_bytes()
    return matched("/proc/self/smaps_rollup", "Anonymous:%s+(%d+)")
        or matched("/proc/self/status", "RssAnon:%s+(%d+)")
        or error("this system does not tell what memory a process has")
end

return function()
    collectgarbage()
    collectgarbage()
    return collectgarbage("count") * 1024, process_bytes()
end
