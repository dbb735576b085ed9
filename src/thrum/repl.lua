-- SPDX-License-Identifier: BSL-1.0
-- The interactive session: read a chunk, run it in a fiber, print what it answers, until the input
-- ends. It is given what it needs of the terminal and the scheduler; see repl.c.
local terminal = ...

-- ---- reading ----

-- As in lua(1), a global sets the prompt.
local function get_prompt(name, default)
    local prompt = rawget(_G, name)
    local is_text = type(prompt) == "string" or type(prompt) == "number"
    return is_text and tostring(prompt) or default
end

-- A line; false at the end of the input; nil when Ctrl-C has dropped it.
local function read_line(prompt)
    terminal.start(prompt)
    while true do
        local line = terminal.take()
        if line ~= nil then
            return line
        elseif not terminal.wait() then
            terminal.cancel()
            return nil
        end
    end
end

local function is_incomplete(message)
    return message:sub(-5) == "<eof>"
end

-- Expressions are no return statements: a call would be a tail call, which leaves no trace of the
-- chunk. They are arguments of this function, which is the argument of their chunk.
local results

local function keep_results(...)
    results = table.pack(...)
end

local function compile_expressions(text)
    local chunk, message = load("return " .. text, "=stdin", "t")
    local keeping = chunk and load("(...)(" .. text:gsub(";%s*$", "") .. "\n)", "=stdin", "t")
    return keeping or chunk, message
end

-- The chunk; or nil, what is wrong with it, and whether more lines could mend that. Expressions may
-- be marked by a "=", as once they had to.
local function compile(text)
    local marked = text:match("^=(.*)")
    local chunk, expression_message = compile_expressions(marked or text)
    if chunk then
        return chunk
    end
    local message = expression_message
    if not marked then
        chunk, message = load(text, "=stdin", "t")
    end
    return chunk, message, is_incomplete(message or "") or is_incomplete(expression_message)
end

-- As read_line, but a chunk, or true and what is wrong with it.
local function read_chunk()
    local line = read_line(get_prompt("_PROMPT", "> "))
    local text = line
    while line do
        terminal.remember(line)
        local chunk, message, is_open = compile(text)
        if chunk or not is_open then
            return chunk or true, message
        end
        line = read_line(get_prompt("_PROMPT2", ">> "))
        if line == false then
            return true, message
        end
        text = text .. "\n" .. (line or "")
    end
    return line
end

-- ---- running ----

-- The text of an error value may be the work of its own __tostring: that runs in a fiber, too.
local function describe(err)
    local is_described, text = terminal.run(terminal.message, err)
    return is_described and text or "(error object is a " .. type(err) .. " value)"
end

local function report(message, traceback)
    io.stderr:write(message, "\n", traceback or "", traceback and "\n" or "")
end

local function print_results(...)
    if select("#", ...) == 0 then
        return
    end
    local is_printed, err = terminal.run(print, ...)
    if not is_printed then
        report("error calling 'print' (" .. describe(err) .. ")")
    end
end

local function show(is_well, ...)
    local kept = results
    results = nil -- a fiber's handle would live on in it
    if is_well and kept then
        print_results(table.unpack(kept, 1, kept.n))
    elseif is_well then
        print_results(...)
    else
        local err, traceback = ...
        report(describe(err), traceback)
    end
end

-- ---- completion ----

local keywords = {
    "and", "break", "do", "else", "elseif", "end", "false", "for", "function", "goto", "if", "in",
    "local", "nil", "not", "or", "repeat", "return", "then", "true", "until", "while",
}

-- The tables that answer for a value's fields: itself, and those behind its __index. No metamethod
-- is called: nothing happens because somebody wants to know what could.
local function list_tables(value)
    local list = {}
    while value ~= nil and #list < 8 do
        if type(value) == "table" then
            list[#list + 1] = value
        end
        local metatable = debug.getmetatable(value)
        local behind = metatable and rawget(metatable, "__index")
        value = type(behind) == "table" and behind or nil
    end
    return list
end

-- Where global names are looked for: thrum's modules are loaded when they are first used.
local function list_roots()
    local roots = list_tables(_G)
    roots[#roots + 1] = package.loaded.thrum
    return roots
end

local function get_field(tables, name)
    for _, fields in ipairs(tables) do
        local value = rawget(fields, name)
        if value ~= nil then
            return value
        end
    end
    return nil
end

local function resolve(path)
    local tables = list_roots()
    for name in path:gmatch("[^.:]+") do
        tables = list_tables(get_field(tables, name))
    end
    return tables
end

-- What a word before the cursor could become: "ip.ud" is a path, a separator and a beginning.
local function find_candidates(word)
    local path, separator, beginning = word:match("^(.*)([.:])([%w_]*)$")
    local found, is_found = {}, {}
    local function add(name)
        local fits = type(name) == "string" and name:find("^[%a_][%w_]*$")
            and name:sub(1, #(beginning or word)) == (beginning or word)
        if fits and not is_found[name] then
            is_found[name] = true
            found[#found + 1] = (path or "") .. (separator or "") .. name
        end
    end
    for _, fields in ipairs(path and resolve(path) or list_roots()) do
        for name, value in next, fields do
            if separator ~= ":" or type(value) == "function" then
                add(name)
            end
        end
    end
    for _, name in ipairs(path and {} or keywords) do
        add(name)
    end
    return found
end

local candidates
terminal.complete_with(function(word, index)
    if index == 1 then
        candidates = find_candidates(word)
    end
    return candidates[index]
end)

-- ---- the session ----

print = terminal.above(print) -- luacheck: globals print
while true do
    local chunk, message = read_chunk()
    if chunk == false then
        break
    elseif message then
        report(message)
    elseif chunk then
        show(terminal.run(chunk, keep_results))
    end
end
io.stdout:write("\n")
