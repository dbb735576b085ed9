-- SPDX-License-Identifier: BSL-1.0
---@meta time
-- luacheck: ignore

---Sleeping, timeouts, timers and clocks, in seconds: time(3thrum).
---@class thrum.module.time
---@field steady_clock thrum.module.time.steady_clock
---@field system_clock thrum.module.time.system_clock
---@field steady_timer thrum.module.time.steady_timer
---@field system_timer thrum.module.time.system_timer
time = {}

---Suspend the calling fiber for that long, never less. Suspends. Raises EINVAL, ENOMEM.
---@async
---@param seconds number # 0 or more
function time.sleep(seconds) end

---Extension. Call `f`, and let no wait in it last beyond that time. An interruption point. Raises what
---`f` raises; ETIMEDOUT, once: a `pcall` in `f` that catches it has to raise it again.
---@async
---@param seconds number # 0 or more
---@param f async fun(...): ...
---@param ... any # for `f`
---@return any ... # what `f` returned
function time.with_timeout(seconds, f, ...) end

---Never goes back: CLOCK_MONOTONIC.
---@class thrum.module.time.steady_clock
time.steady_clock = {}

---@return number # seconds since some point in the past
function time.steady_clock.now() end

---Tells the date.
---@class thrum.module.time.system_clock
time.system_clock = {}

---@return number # seconds since 1970-01-01 00:00 UTC
function time.system_clock.now() end

---Timers by the steady clock.
---@class thrum.module.time.steady_timer
time.steady_timer = {}

---An expiry that any number of fibers may wait for.
---@class time.steady_timer
---@field expiry number # seconds of the steady clock; read only
local steady = {}

---@return time.steady_timer
function time.steady_timer.new() end

---Set the expiry; who waits for the old one gets ECANCELED.
---@param seconds number # from now, 0 or more
function steady:expires_after(seconds) end

---Set the expiry; who waits for the old one gets ECANCELED.
---@param t number # of the timer's clock
function steady:expires_at(t) end

---Wait until the expiry. Suspends. Raises ECANCELED, ENOMEM.
---@async
function steady:wait() end

---End the waits with ECANCELED.
---@return integer n # how many there were
function steady:cancel() end

---Timers by the system clock.
---@class thrum.module.time.system_timer
time.system_timer = {}

---An expiry that any number of fibers may wait for.
---@class time.system_timer
---@field expiry number # seconds of the system clock; read only
local system = {}

---@return time.system_timer
function time.system_timer.new() end

---Set the expiry; who waits for the old one gets ECANCELED.
---@param seconds number # from now, 0 or more
function system:expires_after(seconds) end

---Set the expiry; who waits for the old one gets ECANCELED.
---@param t number # of the timer's clock
function system:expires_at(t) end

---Wait until the expiry. Suspends. Raises ECANCELED, ENOMEM.
---@async
function system:wait() end

---End the waits with ECANCELED.
---@return integer n # how many there were
function system:cancel() end

return time
