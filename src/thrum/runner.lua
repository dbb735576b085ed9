-- SPDX-License-Identifier: BSL-1.0
-- The thrum program's options, chunks and script. It is given the command line as a table, the
-- program's own name at 0, the version, and whether standard input is a terminal; it answers a
-- function that gives what is to be run, whether an interactive session is to follow, and whether
-- SIGQUIT is to show the fibers.
--
-- That function gives the next main fiber's function and arguments, or nothing at the end, and is
-- given the results of the last. So below the script's own calls there are none of this file, and
-- no traceback shows any.
local command_line, version, is_terminal = ...
local wrap, yield, unpack = coroutine.wrap, coroutine.yield, table.unpack

local usage = [=[
usage: thrum [options] [script [args]]
Options are:
  -e chunk   execute the string chunk
  -i         ask for chunks and run them, after the script
  -l module  require the module and keep it in a global of that name
  -v         show the version
  --         stop handling options
  -          execute standard input, and stop handling options
  --fibers-on-quit
             on SIGQUIT, write what every fiber waits for, and go on
  -h, --help, --version
Without -e, -v or a script, standard input is executed; a terminal is asked, as by -i.
]=]

local function refuse(option, problem)
    io.stderr:write("thrum: '", option, "' ", problem, "\n", usage)
    os.exit(1, true)
end

-- The value of an option: what stands behind it in the same word, else the next word.
local function option_value(word, index)
    if #word > 2 then
        return word:sub(3), index
    end
    local value = command_line[index + 1]
    if not value or value:sub(1, 1) == "-" then
        refuse(word, "needs an argument")
    end
    return value, index + 1
end

local is_flag = {
    ["-v"] = "-v", ["--version"] = "-v", ["-i"] = "-i", ["-h"] = "-h", ["--help"] = "-h",
    ["--fibers-on-quit"] = "--fibers-on-quit",
}

-- What to do, in order; the index of the script (or of "-") if there is one; and the flags.
local function parse()
    local actions, index, flags = {}, 1, {}
    while command_line[index] do
        local word = command_line[index]
        if word == "--" then
            index = index + 1
            break
        elseif word:sub(1, 1) ~= "-" or word == "-" then
            break
        elseif is_flag[word] then
            flags[is_flag[word]] = true
        elseif word:find("^%-[el]") then
            local value
            value, index = option_value(word, index)
            actions[#actions + 1] = {kind = word:sub(2, 2), value = value}
            flags[word:sub(1, 2)] = true
        else
            refuse(word, "is not an option")
        end
        index = index + 1
    end
    return actions, command_line[index] and index, flags
end

-- `arg` as in lua(1): the script at 0, its arguments from 1, what came before it below 0.
local function set_arg(script_index)
    local shift = script_index or 0
    local arg = {}
    for index, word in pairs(command_line) do
        arg[index - shift] = word
    end
    _G.arg = arg
    local _ = require("thrum").system.arguments -- made of it now, before a script can change it
    return arg
end

-- What cannot be loaded has no traceback worth showing.
local function check(chunk, message)
    if not chunk then
        io.stderr:write("thrum: ", message, "\n")
        os.exit(1, true)
    end
    return chunk
end

local function run_init()
    local name = "LUA_INIT_5_3"
    local init = os.getenv(name)
    if not init then
        name = "LUA_INIT"
        init = os.getenv(name)
    end
    if init and init:sub(1, 1) == "@" then
        yield(check(loadfile(init:sub(2))))
    elseif init then
        yield(check(load(init, "=" .. name)))
    end
end

local perform = {}

function perform.e(chunk)
    yield(check(load(chunk, "=(command line)")))
end

function perform.l(module)
    _G[module] = yield(require, module)
end

local actions, script_index, flags = parse()
if flags["-h"] then
    io.stdout:write(usage)
    os.exit(0, true)
end
local has_nothing_to_do = not script_index and not flags["-e"] and not flags["-v"]
local is_interactive = flags["-i"] or has_nothing_to_do and is_terminal

local function run()
    local arg = set_arg(script_index)
    if flags["-v"] or is_interactive then
        print("thrum " .. version .. "  " .. _VERSION)
    end
    run_init()
    for _, action in ipairs(actions) do
        perform[action.kind](action.value)
    end
    if script_index or (has_nothing_to_do and not is_interactive) then
        local name = script_index and command_line[script_index]
        yield(check(loadfile(name ~= "-" and name or nil)), unpack(arg))
    end
end

return wrap(run), is_interactive, flags["--fibers-on-quit"]
