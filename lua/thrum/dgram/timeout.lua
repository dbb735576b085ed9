-- SPDX-License-Identifier: BSL-1.0
-- dgram's event "timeout": nothing was sent or received for so long.
local thrum, internal = ...
assert(type(thrum) == "table", "this is a part of thrum.dgram")

local base, args = internal.part "dgram_base", internal.part "dgram_args"
local Socket = base.Socket
local now, sleep = thrum.time.steady_clock.now, thrum.time.sleep

local timeout = {}

function timeout.stop(s)
    local timer = s.timer
    s.timeout, s.timer = nil, nil
    if timer then
        timer.fiber:interrupt()
        timer.fiber:detach()
    end
    base.note_state(s)
end

local arm

local function run_timer(start, s, timer)
    local left = start.is_made and s.deadline - now() or 0
    while left > 0 and s.timer == timer do
        sleep(left)
        left = s.deadline - now()
    end
    if start.is_made and s.timer == timer then
        base.emit_later(s, "timeout")
        s.timer = nil
    end
end

function arm(s)
    local timer = {}
    timer.fiber = base.run_watched(function()
        if s.timer == timer then -- there was no memory to go on, or to report
            s.timer = nil
            arm(s)
        end
    end, thrum.fiber.named("dgram timeout", run_timer), s, timer)
    s.timer = timer
end

-- Something was sent or received, on a socket with a timeout: the time begins anew. A timer that
-- runs finds that out when it looks.
function timeout.refresh(s)
    s.deadline = now() + s.timeout
    if not s.timer then
        arm(s)
    end
end

function Socket:setTimeout(msecs, callback)
    local s = args.running(self, "setTimeout")
    if math.type(msecs) == nil or msecs ~= msecs then
        internal.raise_arg(base.PREFIX .. "setTimeout", 2, "msecs", "number of milliseconds", msecs)
    end
    args.check_optional(callback, "function", "setTimeout", 3, "callback")
    if msecs < 0 then
        return self
    end
    timeout.stop(s)
    if msecs > 0 then
        s.timeout = msecs / 1000
        base.note_state(s)
        if callback then
            self:once("timeout", callback)
        end
        timeout.refresh(s)
    elseif callback then
        self:removeListener("timeout", callback)
    end
    return self
end

return timeout
