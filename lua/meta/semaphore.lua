-- SPDX-License-Identifier: BSL-1.0
---@meta semaphore
-- luacheck: ignore

---Extension. A count that fibers take from: semaphore(3thrum).
---@class thrum.module.semaphore
semaphore = {}

---@class semaphore
---@field count integer # how many can be acquired without waiting; read only
local sem = {}

---@param count integer # 0 or more
---@return semaphore
function semaphore.new(count) end

---Take one. Suspends while there is none; an interruption point even if there is one.
---@async
function sem:acquire() end

---Take one if there is one.
---@return boolean
function sem:try_acquire() end

---Give some back. Raises EOVERFLOW.
---@param n? integer # 1 or more, 1 if not said
function sem:release(n) end

return semaphore
