-- SPDX-License-Identifier: BSL-1.0
-- emitter: objects that have listeners, as luvit's core.Emitter and Node's EventEmitter.
local thrum, internal = ...
if type(thrum) == "string" then -- found as a file: the one in the library is meant
    return require "thrum".emitter
end

local getmetatable, rawget, rawset, setmetatable, type = getmetatable, rawget, rawset, setmetatable,
    type
local error, pairs = error, pairs

-- Under this key an emitter keeps its lists of listeners, by event.
--
-- A list has its entries in the places from `first` to `last`, with holes where some were taken
-- off. The entries of one function are linked, from `latest[function]` on by `older` and back by
-- `newer`. So adding and removing cost the same however many there are, and allocate nothing when
-- they remove.
--
-- A call of the listeners goes through the places that there were when the event came, and
-- passes over entries that were added later (`number`) or removed meanwhile. A list that consists
-- of holes mostly is replaced by another, and a call under way in the old one goes on there.
local LISTENERS = internal.part "emitter_listeners"

local Emitter = {}
Emitter.meta = {__index = Emitter, __name = "emitter.Emitter"}

-- ---- checks ----

local function check_self(self, op)
    if type(self) ~= "table" then
        internal.raise_arg("emitter.Emitter." .. op, 1, "self", "emitter", self)
    end
end

local function check_name(name, op)
    if name == nil or name ~= name then
        internal.raise_arg("emitter.Emitter." .. op, 2, "name", "name of an event", name)
    end
end

local function check_function(f, op)
    if type(f) ~= "function" then
        internal.raise_arg("emitter.Emitter." .. op, 3, "listener", "function", f)
    end
end

local function check_class(self, op)
    local meta = type(self) == "table" and rawget(self, "meta")
    if type(meta) ~= "table" then
        internal.raise_arg("emitter.Emitter." .. op, 1, "self", "class", self)
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

-- ---- lists ----

local function new_list()
    return {first = 1, last = 0, count = 0, number = 0, latest = {}, only = false}
end

-- `only` is the listener if there is but one, and not for once; else false.
local function note_only(list)
    local entry = list.first == list.last and list[list.first]
    list.only = entry and not entry.is_once and entry.listener
end

local MAX_HOLES = 16 -- and as many again as there are entries

local function is_sparse(list)
    return list.last - list.first >= 2 * list.count + MAX_HOLES
end

-- The list without its holes, which takes its place.
local function replace(lists, name, list)
    local dense = new_list()
    local last = 0
    for i = list.first, list.last do
        if list[i] then
            last = last + 1
            dense[last] = list[i]
        end
    end
    dense.last, dense.count, dense.number = last, list.count, list.number
    dense.latest, dense.only = list.latest, list.only
    for i = 1, last do -- no memory is needed any more
        dense[i].place = i
    end
    lists[name] = dense
    return dense
end

local function insert(list, listener, is_once, is_first)
    local place = is_first and list.first - 1 or list.last + 1
    local older = list.latest[listener]
    local entry = {
        listener = listener, is_once = is_once, is_removed = false, place = place,
        number = list.number + 1, older = older, newer = nil,
    }
    list[place] = entry
    list.latest[listener] = entry
    if older then
        older.newer = entry
    end
    list.first, list.last = is_first and place or list.first, is_first and list.last or place
    list.count, list.number = list.count + 1, entry.number
    note_only(list)
end

local function unlink(list, entry)
    local older, newer = entry.older, entry.newer
    if older then
        older.newer = newer
    end
    if newer then
        newer.older = older
    else
        list.latest[entry.listener] = older
    end
end

local function take_off(lists, name, entry)
    local list = lists[name]
    entry.is_removed = true
    unlink(list, entry)
    list[entry.place] = nil
    list.count = list.count - 1
    if list.count == 0 then
        lists[name] = nil
        return
    end
    while not list[list.first] do
        list.first = list.first + 1
    end
    while not list[list.last] do
        list.last = list.last - 1
    end
    note_only(list)
end

-- These two return how many there were.
local function take_off_all(lists, name)
    local list = lists[name]
    for i = list.first, list.last do
        if list[i] then
            list[i].is_removed = true
        end
    end
    lists[name] = nil
    return list.count
end

local function take_off_function(lists, name, listener)
    local count, entry = 0, lists[name].latest[listener]
    while entry do
        local older = entry.older
        take_off(lists, name, entry)
        count, entry = count + 1, older
    end
    return count
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
    local list = lists[name]
    if not list then
        list = new_list()
        insert(list, listener, is_once, is_first)
        lists[name] = list
        return self
    elseif is_sparse(list) then
        list = replace(lists, name, list)
    end
    insert(list, listener, is_once, is_first)
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
    if listener then
        return take_off_function(lists, name, listener)
    end
    return take_off_all(lists, name)
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
            take_off_all(lists, name)
        end
        return self
    end
    for each in pairs(lists) do
        take_off_all(lists, each)
    end
    return self
end

local function list_of(self, op, name)
    check_self(self, op)
    local lists = rawget(self, LISTENERS)
    return lists and lists[name]
end

function Emitter:listenerCount(name)
    local list = list_of(self, "listenerCount", name)
    return list and list.count or 0
end

function Emitter:listeners(name)
    local functions = {}
    local list = list_of(self, "listeners", name)
    for i = list and list.first or 1, list and list.last or 0 do
        if list[i] then
            functions[#functions + 1] = list[i].listener
        end
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

-- For an event without a listener. An error is raised where the event came from.
function Emitter:missingHandlerType(name, ...)
    check_self(self, "missingHandlerType")
    if name ~= "error" then
        return
    end
    local err = ...
    if err == nil then
        internal.raise("EINVAL", "emitter.Emitter.emit", "an error event without an error, and "
            .. "without a listener")
    end
    error(err, 0)
end

local function emit_to_nobody(self, name, ...)
    check_self(self, "emit")
    check_name(name, "emit")
    local handle = getmetatable(self) and self.missingHandlerType or Emitter.missingHandlerType
    handle(self, name, ...)
    return false
end

function Emitter:emit(name, ...)
    local lists = type(self) == "table" and rawget(self, LISTENERS)
    local list = lists and lists[name]
    if not list then
        return emit_to_nobody(self, name, ...)
    end
    if is_sparse(list) then
        list = replace(lists, name, list)
    end
    local number = list.number
    for i = list.first, list.last do
        local entry = list[i]
        if entry and not entry.is_removed and entry.number <= number then
            if entry.is_once then
                take_off(lists, name, entry)
            end
            entry.listener(...)
        end
    end
    return self
end

-- The callbacks that `wrap` has made: wrapping one again changes nothing.
local callbacks = setmetatable({}, {__mode = "k"})

function Emitter:wrap(name)
    check_self(self, "wrap")
    local method = self[name]
    if type(method) ~= "function" then
        internal.raise_arg("emitter.Emitter.wrap", 2, "name", "name of a method", name)
    elseif callbacks[method] then
        return
    end
    local function callback(err, ...)
        if err then
            local emit = self.emit or Emitter.emit
            return emit(self, "error", err)
        end
        return method(self, ...)
    end
    callbacks[callback] = true
    self[name] = callback
end

function Emitter:propagate(name, target)
    check_self(self, "propagate")
    check_name(name, "propagate")
    if target == nil then
        return self
    elseif type(target) ~= "table" or type(target.emit) ~= "function" then
        internal.raise_arg("emitter.Emitter.propagate", 3, "target", "emitter or nil", target)
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
