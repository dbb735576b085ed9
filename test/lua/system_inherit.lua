-- SPDX-License-Identifier: BSL-1.0
-- system.inherited_fd and system.listen_fds: descriptors that the program was started with.
local h, t = ...
local lu, thrum = h.lu, h.thrum
local system = thrum.system

-- Run the program on a chunk with the shell's `before` and redirections; its output.
local function run(chunk, redirections, before)
    h.skip_without_program()
    local command = ("%s exec %s -e %s %s"):format(before or "", h.quote(h.program),
        h.quote(chunk), redirections or "")
    local text, status = h.shell(command)
    return text, status
end

local function check(expected, chunk, redirections, before)
    local text, status = run(chunk, redirections, before)
    lu.assertEquals(text, expected)
    lu.assertEquals(status, 0)
end

-- inherited_fd

t["test an inherited descriptor gets an owner and is closed on exec"] = function()
    check("/dev/fd/7\tcharacter device\n9\n", [[
        local fd = system.inherited_fd(7)
        print(fd, fd:kind())
        local flags = io.open("/proc/self/fdinfo/7"):read("a"):match("flags:%s*(%d+)")
        assert(tonumber(flags, 8) & tonumber("2000000", 8) ~= 0)
        print(system.inherited_fd(9).native_handle)]], "7</dev/null 9<&7")
end

t["test a descriptor is taken once"] = function()
    check("true\ntrue\ntrue\n", [[
        local generic_error = require "generic_error"
        local function fails(code)
            local ok, err = pcall(system.inherited_fd, 7)
            print(not ok and err == generic_error[code])
        end
        local fd = system.inherited_fd(7)
        fails "EBUSY"
        collectgarbage()
        fails "EBUSY"
        fd:close()
        fails "EBADF"]], "7</dev/null")
end

t["test what is not open is EBADF, and what this process has opened EBUSY"] = function()
    local err = h.raises("EBADF", system.inherited_fd, 250)
    h.assert_contains(tostring(err), "system.inherited_fd: descriptor 250")
    local sock = h.bound()
    local fd = sock:release()
    err = h.raises("EBUSY", system.inherited_fd, fd.native_handle)
    h.assert_contains(tostring(err), "close-on-exec")
    lu.assertEquals(fd:kind(), "udp v4")
    fd:close()
    -- In a child, which has nothing that this spec was started with: the loop's own descriptors,
    -- those of a signal set and of a child among them.
    h.skip_without_program()
    local child = system.spawn {program = h.program, arguments = {"thrum", "-e", [[
        local generic_error = require "generic_error"
        local set = system.signal.set.new("SIGUSR1")
        local child = system.spawn{program = "sleep", arguments = {"sleep", "20"}}
        spawn(function() child:wait() end)
        time.sleep(0)
        local n = 0
        for number = 3, 40 do
            local ok, err = pcall(system.inherited_fd, number)
            assert(not ok)
            n = n + (err == generic_error.EBUSY and 1 or 0)
        end
        child:kill("SIGKILL")
        system.exit(n > 4 and 0 or 1)]]}, stderr = "share"}
    lu.assertEquals(child:wait(), {exited = true, code = 0})
end

t["test a number that is none is refused"] = function()
    for _, bad in ipairs {-1, 0.5, 2 ^ 31, "3", true, {}} do
        h.raises_arg(1, system.inherited_fd, bad)
    end
    h.raises_arg(1, system.inherited_fd)
end

t["test standard input can be taken"] = function()
    check("file\nfalse\n", [[
        local fd = system.inherited_fd(0)
        print(fd:kind())
        fd:close()
        print(pcall(system.inherited_fd, 0) and true or false)]], "<" .. h.source .. "/LICENSE")
end

-- listen_fds

local list_all = [[
    for _, entry in ipairs(system.listen_fds()) do
        print(entry.name, entry.fd, entry.fd:kind())
    end
    print(#system.listen_fds(), os.getenv("LISTEN_PID"), os.getenv("LISTEN_FDS"),
        os.getenv("LISTEN_FDNAMES"))]]
local nothing = "0\tnil\tnil\tnil\n"
local two = "3</dev/null 4<" .. h.source .. "/LICENSE"

local function listen(expected, variables, redirections)
    check(expected, list_all, redirections or two, "export " .. variables .. ";")
end

t["test listen_fds gives the descriptors with their names, once, and clears the variables"] =
function()
    listen("web\t/dev/fd/3\tcharacter device\ndns\t/dev/fd/4\tfile\n" .. nothing,
        "LISTEN_PID=$$ LISTEN_FDS=2 LISTEN_FDNAMES=web:dns")
    listen("\t/dev/fd/3\tcharacter device\n\t/dev/fd/4\tfile\n" .. nothing,
        "LISTEN_PID=$$ LISTEN_FDS=2 LISTEN_FDNAMES=:")
    listen("unknown\t/dev/fd/3\tcharacter device\n" .. nothing, "LISTEN_PID=$$ LISTEN_FDS=1")
end

t["test listen_fds gives nothing without the variables, or for another process"] = function()
    check(nothing, list_all, two, "unset LISTEN_PID LISTEN_FDS LISTEN_FDNAMES;")
    listen(nothing, "LISTEN_PID=1 LISTEN_FDS=2 LISTEN_FDNAMES=web:dns")
    listen(nothing, "LISTEN_PID=1 LISTEN_FDS=nonsense")
    listen(nothing, "LISTEN_FDS=2")
    listen(nothing, "LISTEN_PID=$$")
end

t["test what listen_fds gives is closed on exec, and unknown to children"] = function()
    check("0\n1\n2\n\n", [[
        local list = system.listen_fds()
        assert(#list == 2)
        system.spawn{program = "sh", stdout = "share",
            arguments = {"sh", "-c", "ls /proc/$$/fd; echo $LISTEN_FDS"}}:wait()
        local flags = io.open("/proc/self/fdinfo/3"):read("a"):match("flags:%s*(%d+)")
        assert(tonumber(flags, 8) & tonumber("2000000", 8) ~= 0)]], two,
        "export LISTEN_PID=$$ LISTEN_FDS=2;")
end

t["test malformed variables are an error that shows them, and are cleared"] = function()
    for variables, text in pairs {
        ["LISTEN_PID=x LISTEN_FDS=1"] = 'Invalid argument: system.listen_fds: LISTEN_PID="x"',
        ["LISTEN_PID=0 LISTEN_FDS=1"] = 'LISTEN_PID="0"',
        ["LISTEN_PID= LISTEN_FDS=1"] = 'LISTEN_PID=""',
        ["LISTEN_PID=99999999999999999999 LISTEN_FDS=1"] = 'LISTEN_PID="99999999999999999999"',
        ["LISTEN_PID=$$ LISTEN_FDS=x"] = 'LISTEN_FDS="x"',
        ["LISTEN_PID=$$ LISTEN_FDS=0"] = 'LISTEN_FDS="0"',
        ["LISTEN_PID=$$ LISTEN_FDS=-1"] = 'LISTEN_FDS="-1"',
        ["LISTEN_PID=$$ LISTEN_FDS='1 '"] = 'LISTEN_FDS="1 "',
        ["LISTEN_PID=$$ LISTEN_FDS=2147483647"] = 'LISTEN_FDS="2147483647"',
        ["LISTEN_PID=$$ LISTEN_FDS=2 LISTEN_FDNAMES=one"] = 'LISTEN_FDNAMES="one"',
        ["LISTEN_PID=$$ LISTEN_FDS=2 LISTEN_FDNAMES=a:b:c"] = 'LISTEN_FDNAMES="a:b:c"',
        ["LISTEN_PID=$$ LISTEN_FDS=4"] = "system.listen_fds: descriptor 5 is ",
        ["LISTEN_PID=$$ LISTEN_FDS=2147483644"] = "descriptor 5 is ",
    } do
        local output, status = run([[
            print(select(2, pcall(system.listen_fds)))
            print(#system.listen_fds(), os.getenv("LISTEN_PID"))
            print(system.inherited_fd(3), system.inherited_fd(4))]],
            two .. " 5<&-", "export " .. variables .. ";")
        h.assert_contains(output, text)
        h.assert_contains(output, "\n0\tnil\n/dev/fd/3\t/dev/fd/4\n")
        lu.assertEquals(status, 0)
    end
end

t["test what inherited_fd has taken is refused by listen_fds"] = function()
    local output = run([[
        local fd = system.inherited_fd(4)
        print(select(2, pcall(system.listen_fds)))
        print(fd:kind(), system.inherited_fd(3))]], two, "export LISTEN_PID=$$ LISTEN_FDS=2;")
    lu.assertStrMatches(output, "Device or resource busy: system.listen_fds: descriptor 4 is " ..
        "close%-on%-exec: .-\nfile\t/dev/fd/3\n")
end
