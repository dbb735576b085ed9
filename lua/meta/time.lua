-- SPDX-License-Identifier: BSL-1.0
---@meta time
-- luacheck: ignore

---Sleeping and clocks, in seconds: time(3thrum).
---@class thrum.module.time
---@field steady_clock thrum.module.time.steady_clock
---@field system_clock thrum.module.time.system_clock
time = {}

---Suspend the calling fiber for that long, never less. Suspends. Raises EINVAL, ENOMEM.
---@async
---@param seconds number # 0 or more
function time.sleep(seconds) end

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

return time
