-- SPDX-License-Identifier: BSL-1.0
-- dgram's ground: the class, the state of its objects, errors as this module gives them, events.
--
-- The other parts, each standing on those before it:
--   dgram_block_list  sets of addresses
--   dgram_address     what texts and names stand for
--   dgram_queue       sends that wait, and sends deferred for a moment
--   dgram_args        what a method was called with
--   dgram_timeout     setTimeout
--   dgram_receive     the fiber that receives, and calls the listeners of "message"
--   dgram_bind, dgram_connect, dgram_send, dgram_multicast   the methods about that
local thrum, internal = ...
assert(type(thrum) == "table", "this is a part of thrum.dgram")

local spawn = thrum.spawn
local error, ipairs, tostring, type = error, ipairs, tostring, type

local base = {}

local Socket = thrum.emitter.Emitter:extend()
Socket.meta.__name = "dgram.Socket"
base.Socket = Socket

-- The state of each socket; its fields stand where they are made, in initialize.
base.states = setmetatable({}, {__mode = "k"})

-- Begins the name of each method in errors.
base.PREFIX = "dgram.Socket."

-- Whether a send needs nothing but the system call. To be called when anything here has changed;
-- that a receiver is missing, for want of memory, is mended by the next send.
function base.note_state(s)
    s.is_plain = s.bound == true and s.life == "open" and not s.is_connected and s.queue_count == 0
        and not s.timeout and not s.send_block_list and (s.has_receiver or not s.is_receiving)
end

-- ---- errors ----

-- What an error from below says as one of this module's. Whatever else came is left as it is, and
-- so is one that has been here before.
local function adapt(err, op, syscall, host, port)
    if type(err) ~= "table" or err.syscall then
        return err
    end
    err.op = base.PREFIX .. op
    err.errno = internal.error_name(err)
    err.syscall = syscall
    if host then
        err.address, err.port = host, port
        if tostring(err.category) == "resolver" then
            err.detail = nil -- the same host, with the port 0 of the look-up
        end
    elseif err.address ~= nil then
        err.address = tostring(err.address)
    end
    return err
end
base.adapt = adapt

-- Call a function of the ip.udp.socket, one that never suspends.
local function call(op, syscall, f, ...)
    local is_done, result = internal.pcall(f, ...)
    if not is_done then
        error(adapt(result, op, syscall), 0)
    end
    return result
end
base.call = call

-- Set what is wanted of an ip.udp.socket: pairs of an option and its value. Raises.
function base.apply(handle, wanted)
    for _, pair in ipairs(wanted) do
        handle:set_option(pair[1], pair[2])
    end
end

function base.set_option(s, op, ...)
    s.is_changed = s.is_changed or not s.bound
    return call(op, "setsockopt", s.handle.set_option, s.handle, ...)
end

function base.get_option(s, op, name)
    return call(op, "getsockopt", s.handle.get_option, s.handle, name)
end

-- ---- events and callbacks ----
--
-- Each comes in a fiber of its own, after the call that caused it has returned, in order. When
-- that fiber runs the socket may have been closed: then there is no event any more but "close".

local function call_later(f, ...)
    spawn(f, ...):detach()
end
base.call_later = call_later

local function emit_if_open(s, ...)
    if s.life == "open" then
        s.self:emit(...)
    end
end

local function emit_later(s, ...)
    call_later(emit_if_open, s, ...)
end
base.emit_later = emit_later

-- Report a failure to the callback, or else by an event.
function base.fail(s, err, callback, ...)
    if callback then
        call_later(callback, err, ...)
    else
        emit_later(s, "error", err)
    end
end

-- ---- fibers that must not get lost ----

-- Run f(start, ...) in a fiber of its own, the result; however that ends, also without memory for
-- its first step, at_end() is called, outside any fiber. If at_end raises for want of memory, the
-- caller that runs the loop gets that error, and at_end is called again later. If this function
-- raises, neither is of any consequence: f is to return when it finds start.is_made false.
function base.run_watched(at_end, f, ...)
    local start = {is_made = false}
    local fiber = spawn(f, start, ...)
    internal.at_end(fiber, at_end)
    start.is_made = true
    return fiber
end

return base
