-- SPDX-License-Identifier: BSL-1.0
---@meta condition_variable
-- luacheck: ignore

---Wait until another fiber says that something has changed: condition_variable(3thrum).
---@class thrum.module.condition_variable
condition_variable = {}

---@class condition_variable
local cv = {}

---@return condition_variable
function condition_variable.new() end

---Unlock the mutex, wait for a notification, lock it again, whether the wait returns or raises.
---Suspends. Raises EPERM (the caller does not own the mutex).
---@async
---@param m mutex
function cv:wait(m) end

---Wake the fiber that waits longest.
function cv:notify_one() end

---Wake all of them.
function cv:notify_all() end

return condition_variable
