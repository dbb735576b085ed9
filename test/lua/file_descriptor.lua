-- SPDX-License-Identifier: BSL-1.0
-- Class file_descriptor. Here they come from sock:release() and dup().
local h, t = ...
local lu, thrum = h.lu, h.thrum
local ip = thrum.ip

local function new_descriptor()
    return h.bound():release()
end

t["test it cannot be made directly"] = function()
    h.raises("EINVAL", function() return thrum.file_descriptor.new end)
end

t["test tostring is /dev/fd/N with the native handle"] = function()
    local fd = new_descriptor()
    lu.assertEquals(math.type(fd.native_handle), "integer")
    lu.assertEquals(tostring(fd), "/dev/fd/" .. fd.native_handle)
    fd:close()
    lu.assertEquals(type(tostring(fd)), "string")
end

t["test close works once, then everything is EBADF"] = function()
    local before = h.descriptors()
    local fd = new_descriptor()
    lu.assertNotEquals(h.descriptors(), before)
    lu.assertEquals(select("#", fd:close()), 0)
    lu.assertEquals(h.descriptors(), before)
    h.raises("EBADF", fd.close, fd)
    h.raises("EBADF", fd.dup, fd)
    h.raises("EBADF", fd.kind, fd)
    h.raises("EBADF", function() return fd.native_handle end)
end

t["test dup makes another descriptor of the same socket"] = function()
    local sock = h.bound()
    local port = sock.local_port
    local fd = sock:release()
    local copy = fd:dup()
    lu.assertNotEquals(copy.native_handle, fd.native_handle)
    fd:close()
    lu.assertEquals(copy:kind(), "udp v4")
    sock:assign("v4", copy)
    lu.assertEquals(sock.local_port, port)
    sock:close()
end

t["test a copy is closed on exec"] = function()
    local fd = new_descriptor()
    local copy = fd:dup()
    for _, one in ipairs {fd, copy} do
        local file = io.open("/proc/self/fdinfo/" .. one.native_handle)
        lu.skipIf(not file, "no /proc here")
        local flags = tonumber(file:read("a"):match("flags:%s*(%d+)"), 8)
        file:close()
        lu.assertEquals(flags & tonumber("2000000", 8), tonumber("2000000", 8))
    end
    fd:close()
    copy:close()
end

t["test a collected descriptor is closed"] = function()
    local before = h.descriptors()
    do
        local fd = new_descriptor()
        lu.assertNotNil(fd)
    end
    thrum.spawn(function() end):join()
    collectgarbage()
    collectgarbage()
    lu.assertEquals(h.descriptors(), before)
end

t["test kind tells the family"] = function()
    local fd = new_descriptor()
    lu.assertEquals(fd:kind(), "udp v4")
    fd:close()
    h.skip_without_v6()
    fd = h.bound("v6"):release()
    lu.assertEquals(fd:kind(), "udp v6")
    fd:close()
end

t["test the descriptor is closed to tampering"] = function()
    local fd = new_descriptor()
    h.raises("EINVAL", function() fd.native_handle = 0 end)
    h.raises("EINVAL", function() fd.x = 0 end)
    h.raises("EINVAL", function() return fd.nope end)
    h.raises_arg(1, fd.close, ip.address.new())
    h.raises_arg(1, fd.close, 0)
    h.raises_arg(1, fd.dup)
    lu.assertFalse(getmetatable(fd))
    fd:close()
end

t["test the descriptor limit makes dup EMFILE and leaves the first usable"] =
function()
    h.skip_without_program()
    local command = "ulimit -n 20; exec " .. h.quote(h.program) .. " -e "
    local output, status = h.shell(command .. h.quote([[
        local generic_error, held = require "generic_error", {}
        local sock = ip.udp.socket.new()
        sock:open("v4")
        local fd = sock:release()
        while true do
            local ok, copy = pcall(fd.dup, fd)
            if not ok then
                assert(copy == generic_error.EMFILE, tostring(copy))
                break
            end
            held[#held + 1] = copy
        end
        assert(fd:kind() == "udp v4")
        print("limit reached")]]))
    h.assert_contains(output, "limit reached\n") -- a sanitizer may complain of the limit itself
    lu.assertEquals(status, 0)
end
