-- SPDX-License-Identifier: BSL-1.0
---@meta mutex
-- luacheck: ignore

---One fiber at a time: mutex(3thrum).
---@class thrum.module.mutex
mutex = {}

---First come, first served, and error-checking.
---@class mutex
local m = {}

---A new mutex, free.
---@return mutex
function mutex.new() end

---Wait until it is free, and own it. Suspends; an interruption point even if it is free. Raises
---EDEADLK (the caller owns it).
---@async
function m:lock() end

---Extension. Own it if it is free.
---@return boolean
function m:try_lock() end

---Hand it to the fiber that has waited longest, or set it free. Raises EPERM (the caller does not own it).
function m:unlock() end

return mutex
