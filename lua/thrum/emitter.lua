-- SPDX-License-Identifier: BSL-1.0
-- emitter: objects that have listeners, as luvit's core.Emitter and Node's EventEmitter.
local thrum, native = ...
if type(thrum) == "string" then -- found as a file: the one in the library is meant
    return require "thrum".emitter
end

local getmetatable, rawget, rawset, setmetatable, type = getmetatable, rawget, rawset, setmetatable,
    type
local error, pairs = error, pairs
local insert, move = table.insert, table.move

-- Under this key an emitter keeps its lists of listeners, by event. A list whose listeners have
-- been called (is_called) is not changed any more: one with a listener more, or less, takes its
-- place, so that whoever is calling them goes on with what there was when the event came. A
-- listener that is removed meanwhile is marked, and not called.
local LISTENERS = setmetatable({}, {__tostring = function() return "listeners" end})
native.listeners = LISTENERS

local Emitter = {}
Emitter.meta = {__index = Emitter, __name = "emitter.Emitter"}

-- ---- checks ----

local function check_self(self, op)
    if type(self) ~= "table" then
        native.raise_arg("emitter.Emitter." .. op, 1, "self", "emitter", self)
    end
end

local function check_name(name, op)
    if name == nil or name ~= name then
        native.raise_arg("emitter.Emitter." .. op, 2, "name", "name of an event", name)
    end
end

local function check_function(f, op)
    if type(f) ~= "function" then
        native.raise_arg("emitter.Emitter." .. op, 3, "listener", "function", f)
    end
end

local function check_class(self, op)
    local meta = type(self) == "table" and rawget(self, "meta")
    if type(meta) ~= "table" then
        native.raise_arg("emitter.Emitter." .. op, 1, "self", "class", self)
    end
    return meta
end

-- ---- classes ----

function Emitter:new(...)
    local object = setmetatable({}, check_class(self, "new"))
    local initialize = object.initialize
    if type(initialize) == "function" then
        initialize(object, ...)
    end
    return object
end

function Emitter:extend()
    local meta = {}
    for name, value in pairs(check_class(self, "extend")) do
        meta[name] = value
    end
    local class = setmetatable({meta = meta}, self.meta)
    meta.__index = class
    meta.super = self
    return class
end

-- ---- listeners ----

local function add(self, op, name, listener, is_once, is_first)
    check_self(self, op)
    check_name(name, op)
    check_function(listener, op)
    local lists = rawget(self, LISTENERS)
    if not lists then
        lists = {}
        rawset(self, LISTENERS, lists)
    end
    local entry = {listener = listener, is_once = is_once, is_removed = false}
    local list = lists[name] or {}
    if list.is_called then
        list = move(list, 1, #list, 1, {})
    end
    insert(list, is_first and 1 or #list + 1, entry)
    lists[name] = list
    return self
end

function Emitter:on(name, listener)
    return add(self, "on", name, listener, false, false)
end

function Emitter:addListener(name, listener)
    return add(self, "addListener", name, listener, false, false)
end

function Emitter:once(name, listener)
    return add(self, "once", name, listener, true, false)
end

function Emitter:prependListener(name, listener)
    return add(self, "prependListener", name, listener, false, true)
end

function Emitter:prependOnceListener(name, listener)
    return add(self, "prependOnceListener", name, listener, true, true)
end

-- Take off the entries that `is_meant` tells; returns how many there were.
local function remove(lists, name, is_meant, what)
    local list, count = lists[name], 0
    local rest, n = list.is_called and {} or list, #list
    for i = 1, n do
        local entry = list[i]
        if is_meant(entry, what) then
            entry.is_removed = true
            count = count + 1
        else
            rest[i - count] = entry
        end
    end
    for i = n - count + 1, n do
        rest[i] = nil
    end
    lists[name] = rest[1] and rest or nil
    return count
end

local function is_any()
    return true
end

local function is_entry(entry, what)
    return entry == what
end

local function has_listener(entry, listener)
    return entry.listener == listener
end

local function remove_listener(self, op, name, listener)
    check_self(self, op)
    check_name(name, op)
    if listener ~= nil then
        check_function(listener, op)
    end
    local lists = rawget(self, LISTENERS)
    if not lists or not lists[name] then
        return 0
    end
    return remove(lists, name, listener and has_listener or is_any, listener)
end

function Emitter:removeListener(name, listener)
    local count = remove_listener(self, "removeListener", name, listener)
    return count > 0 and count or nil
end

function Emitter:off(name, listener)
    remove_listener(self, "off", name, listener)
    return self
end

function Emitter:removeAllListeners(name)
    check_self(self, "removeAllListeners")
    local lists = rawget(self, LISTENERS)
    if not lists then
        return self
    elseif name ~= nil then
        if lists[name] then
            remove(lists, name, is_any)
        end
        return self
    end
    for each in pairs(lists) do
        remove(lists, each, is_any)
    end
    return self
end

local function list_of(self, op, name)
    check_self(self, op)
    local lists = rawget(self, LISTENERS)
    return lists and lists[name] or {}
end

function Emitter:listenerCount(name)
    return #list_of(self, "listenerCount", name)
end

function Emitter:listeners(name)
    local functions = {}
    local list = list_of(self, "listeners", name)
    for i = 1, #list do
        functions[i] = list[i].listener
    end
    return functions
end

function Emitter:eventNames()
    check_self(self, "eventNames")
    local names = {}
    for name in pairs(rawget(self, LISTENERS) or {}) do
        names[#names + 1] = name
    end
    return names
end

-- ---- events ----

-- Nobody listens. An error that is told nobody is raised, where the event came from.
function Emitter:missingHandlerType(name, ...)
    check_self(self, "missingHandlerType")
    if name ~= "error" then
        return
    end
    local err = ...
    if err == nil then
        native.raise("EINVAL", "emitter.Emitter.emit", "an error event without an error, and "
            .. "without a listener")
    end
    error(err, 0)
end

local function emit_to_nobody(self, name, ...)
    check_self(self, "emit")
    check_name(name, "emit")
    local tell = getmetatable(self) and self.missingHandlerType or Emitter.missingHandlerType
    tell(self, name, ...)
    return false
end

function Emitter:emit(name, ...)
    local lists = type(self) == "table" and rawget(self, LISTENERS)
    local list = lists and lists[name]
    if not list then
        return emit_to_nobody(self, name, ...)
    end
    list.is_called = true
    for i = 1, #list do
        local entry = list[i]
        if not entry.is_removed then
            if entry.is_once then
                remove(lists, name, is_entry, entry)
            end
            entry.listener(...)
        end
    end
    return self
end

function Emitter:wrap(name)
    check_self(self, "wrap")
    check_name(name, "wrap")
    return function(err, ...)
        local emit = self.emit or Emitter.emit
        if err then
            return emit(self, "error", err)
        end
        return emit(self, name, ...)
    end
end

function Emitter:propagate(name, target)
    check_self(self, "propagate")
    check_name(name, "propagate")
    if type(target) ~= "table" or type(target.emit) ~= "function" then
        native.raise_arg("emitter.Emitter.propagate", 3, "target", "emitter", target)
    end
    add(self, "propagate", name, function(...)
        target:emit(name, ...)
    end, false, false)
    return target
end

-- ---- the module ----

return {
    Emitter = Emitter,
    new = function() return Emitter:new() end,
}
