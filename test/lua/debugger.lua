-- SPDX-License-Identifier: BSL-1.0
-- A remote debugger that lives in a debug hook (debugger/remote.lua), the way MobDebug does, in a
-- program of fibers (debugger/program.lua), a process of its own. This is its controller.
local h, t = ...
local lu, thrum = h.lu, h.thrum
local system = thrum.system
local socket = require "thrum.socket"

local directory = h.source .. "/test/lua/debugger/"
local program = "program.lua"

-- The number of the line with that comment.
local function line_of(comment)
    local number = 0
    for line in io.lines(directory .. program) do
        number = number + 1
        if line:find("-- " .. comment .. "$") then
            return number
        end
    end
    error("no line says " .. comment)
end

-- The words of its command.
local function command_line(port)
    local words = {directory .. program, directory .. "remote.lua", tostring(port)}
    if h.is_program then
        table.insert(words, 1, h.program)
        return words
    end
    local file = assert(io.open "/proc/self/cmdline") -- the same in this stock interpreter
    local interpreter = file:read("a"):match("^%Z+")
    file:close()
    local chunk = "require('thrum.prelude').run(assert(loadfile(%q)), %q, %q)"
    return {interpreter, "-e", chunk:format(table.unpack(words))}
end

-- Run the program under the debugger, and `f` with what talks to it: session(command) -> answer.
local function with_session(f)
    local listener = assert(socket.bind("127.0.0.1", 0))
    local _, port = listener:getsockname()
    local words, output = command_line(port), os.tmpname()
    for i, word in ipairs(words) do
        words[i] = h.quote(word)
    end
    local shell_line = "exec " .. table.concat(words, " ") .. " > " .. output
    local child = system.spawn {
        program = "sh", arguments = {"sh", "-c", shell_line}, stderr = "share",
    }
    listener:settimeout(20)
    local client = assert(listener:accept())
    client:settimeout(20)
    local session = {}
    function session.read()
        return assert(client:receive())
    end
    function session.ask(command)
        assert(client:send(command .. "\n"))
        return session.read()
    end
    -- Any byte will do: it is read as a sign and thrown away.
    function session.interrupt()
        return client:send("!")
    end
    -- Move on, and where it stops: the comment's line, and in which thread.
    function session.move(command, comment)
        lu.assertEquals(session.ask(command), "ok")
        local file, line, thread = session.read():match("^paused (%S+) (%d+) (.*)$")
        lu.assertEquals({file, tonumber(line)}, {program, line_of(comment)}, comment)
        return thread
    end
    function session.set(comment)
        lu.assertEquals(session.ask("SETB " .. program .. " " .. line_of(comment)), "ok")
    end
    function session.delete(comment)
        lu.assertEquals(session.ask("DELB " .. program .. " " .. line_of(comment)), "ok")
    end
    f(session)
    local status = child:wait()
    client:close()
    listener:close()
    local file = io.open(output)
    local text = file:read("a")
    file:close()
    os.remove(output)
    lu.assertEquals(status, {exited = true, code = 0})
    return text
end

t["test a program of fibers runs to its end under the debugger"] = function()
    local text = with_session(function(session)
        lu.assertEquals(session.ask "RUN", "ok")
    end)
    lu.assertEquals(text, "re: question\t1\tre: question\ttrue\n")
end

t["test breakpoints stop in several fibers, and variables are read and set"] = function()
    local text = with_session(function(session)
        session.set "suspends"
        session.set "has been asked"
        local asking = session.move("RUN", "suspends")
        lu.assertEquals(session.ask "EXEC return #buf", "ok 16")
        lu.assertEquals(session.ask "EXEC return nothing.at_all":sub(1, 5), "error")
        local answering = session.move("RUN", "has been asked")
        lu.assertNotEquals(answering, asking)
        lu.assertEquals(session.ask "EXEC return tostring(buf:slice(1, n))", "ok question")
        session.set "has suspended"
        lu.assertEquals(session.move("RUN", "has suspended"), asking)
        lu.assertEquals(session.ask "EXEC n = 2 return n", "ok 2")
        lu.assertEquals(session.ask "RUN", "ok")
    end)
    lu.assertEquals(text, "re\t1\tre\ttrue\n")
end

t["test stepping stays in its fiber, over calls that suspend it while the others run"] = function()
    local text = with_session(function(session)
        session.set "suspends"
        local asking = session.move("RUN", "suspends")
        session.delete "suspends"
        lu.assertEquals(session.move("OVER", "has suspended"), asking) -- the other has answered
        lu.assertEquals(session.move("STEP", "notes"), asking)
        lu.assertEquals(session.move("STEP", "counts"), asking)
        lu.assertEquals(session.ask "EXEC return count .. text", "ok 0re: question")
        session.set "answers"
        lu.assertEquals(session.move("RUN", "answers"), asking)
        session.set "has joined"
        local main = session.move("RUN", "has joined")
        lu.assertNotEquals(main, asking)
        lu.assertEquals(session.ask "EXEC return result", "ok re: question")
        session.set "ticks"
        local ticking = session.move("RUN", "ticks")
        lu.assertNotEquals(ticking, asking)
        lu.assertNotEquals(ticking, main)
        session.delete "ticks"
        lu.assertEquals(session.ask "EXEC return stop.is_set", "ok true")
        lu.assertEquals(session.ask "RUN", "ok")
    end)
    lu.assertEquals(text, "re: question\t1\tre: question\ttrue\n")
end

-- The hook looks for commands without waiting, with a timeout of 0, before each line.
t["test a command that comes while the program runs stops it"] = function()
    local text = with_session(function(session)
        session.set "ticks"
        session.move("RUN", "ticks")
        session.delete "ticks"
        lu.assertEquals(session.ask "EXEC stop = {} return 1", "ok 1") -- it would tick for ever
        lu.assertEquals(session.ask "RUN", "ok")
        assert(session.interrupt())
        lu.assertEquals(session.read():match("^paused " .. program), "paused " .. program)
        session.set "ticks"
        session.move("RUN", "ticks")
        session.delete "ticks"
        lu.assertEquals(session.ask "EXEC stop.is_set = true return 1", "ok 1")
        lu.assertEquals(session.ask "RUN", "ok")
    end)
    lu.assertEquals(text, "re: question\t1\tre: question\ttrue\n")
end
