-- SPDX-License-Identifier: BSL-1.0
-- luacheck: globals spawn
-- Looks up names and addresses, all at once, as the system does (not as host(1), which asks name
-- servers only).
--
--     thrum host.lua [-t seconds] [name | address]...
--
-- Exit status 1 if one of them could not be found.

local ip = require "ip"
local system = require "system"
local time = require "time"

-- tag::look_up[]
-- The lines to print for a name, or for an address.
local function look_up(text)
    local lines = {}
    local is_address, address = pcall(ip.address.new, text)
    if is_address then
        for _, found in ipairs(ip.tcp.get_name_info(address, 0)) do
            lines[#lines + 1] = text .. " is " .. found.host_name
        end
        return lines
    end
    local results = ip.tcp.get_address_info(text, 0, ip.address_info_flag.canonical_name)
    local name = results[1].canonical_name
    if name and name ~= text then
        lines[#lines + 1] = text .. " is an alias for " .. name
    end
    for _, found in ipairs(results) do
        lines[#lines + 1] = text .. " has address " .. tostring(found.address)
    end
    return lines
end
-- end::look_up[]

local function reason(err)
    local category = type(err) == "table" and err.category
    return category and category:message(err.code) or tostring(err)
end

-- tag::side_by_side[]
-- One fiber a word: they all wait at the same time, and the slowest takes `timeout` seconds.
local function look_up_all(words, timeout)
    local fibers, n_failed = {}, 0
    for i, word in ipairs(words) do
        fibers[i] = spawn(pcall, time.with_timeout, timeout, look_up, word)
    end
    for i, fiber in ipairs(fibers) do
        local ok, lines = fiber:join()
        if ok then
            print(table.concat(lines, "\n"))
        else
            print(words[i] .. ": " .. reason(lines))
            n_failed = n_failed + 1
        end
    end
    return n_failed
end
-- end::side_by_side[]

local words, timeout = { ... }, 10
if words[1] == "-t" then
    timeout = tonumber(words[2]) or error("how many seconds?", 0)
    words = { table.unpack(words, 3) }
end
if #words == 0 then
    words = { "localhost", "127.0.0.1" }
end
if look_up_all(words, timeout) > 0 then
    system.exit(1)
end
