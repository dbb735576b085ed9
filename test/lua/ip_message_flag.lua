-- SPDX-License-Identifier: BSL-1.0
-- Module ip.message_flag. What the flags do: ip_udp_socket_transfer.lua.
local h, t = ...
local lu, thrum = h.lu, h.thrum
local flag = thrum.ip.message_flag
local names = {"peek", "out_of_band", "do_not_route", "end_of_record", "truncate"}

t["test the flags are distinct single bits that combine with |"] = function()
    local all = 0
    for _, name in ipairs(names) do
        local value = flag[name]
        lu.assertEquals(math.type(value), "integer")
        lu.assertTrue(value > 0 and value & (value - 1) == 0, name)
        lu.assertEquals(all & value, 0)
        all = all | value
    end
end

t["test there are no other flags, and an unknown one raises with its name"] = function()
    local count = 0
    for _ in pairs(flag) do
        count = count + 1
    end
    lu.assertEquals(count, #names)
    h.assert_contains(tostring(h.raises("EINVAL", function() return flag.no_such end)), "no_such")
end
