-- SPDX-License-Identifier: BSL-1.0
---@meta thrum.coroutine
-- luacheck: ignore

---Lua's coroutines, aware of the fiber around them: coroutine(3thrum), Lua 5.3 manual 6.2. In the thrum
---program and with the prelude this is the global `coroutine`.
---@class thrum.module.coroutine
local coroutine = {}

---@param f async fun(...): ...
---@return thread
function coroutine.create(f) end

---Start or go on. An interruption point: raises interrupted.
---@param co thread
---@param ... any
---@return boolean ok
---@return any ... # what it yielded or returned, or the error
function coroutine.resume(co, ...) end

---A function that resumes a new coroutine. Calling it is an interruption point.
---@param f async fun(...): ...
---@return fun(...): ...
function coroutine.wrap(f) end

---Suspend the coroutine, not the fiber. Raises coroutine_reserved in the fiber itself.
---@param ... any
---@return any ...
function coroutine.yield(...) end

---Whether `coroutine.yield` may be called here; false in the fiber itself.
---@return boolean
function coroutine.isyieldable() end

---@return thread co
---@return boolean is_main # the main thread, or a fiber itself
function coroutine.running() end

---@param co thread
---@return "running" | "suspended" | "normal" | "dead"
function coroutine.status(co) end

return coroutine
