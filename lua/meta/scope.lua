-- SPDX-License-Identifier: BSL-1.0
---@meta
-- luacheck: ignore

---Call `f` in a scope of its own: its cleanup handlers run when it ends, however it ends:
---scope(3thrum). No interruption point. In the thrum program and with the prelude; `thrum.scope`
---everywhere. Raises what `f` raises.
---@param f async fun(): ...
---@return any ... # what `f` returned
function scope(f) end

---Have a handler run at the end of the current scope, the newest first, interruption disabled. It may
---suspend and must not raise.
---@param handler async fun()
function scope_cleanup_push(handler) end

---Take the newest handler of the current scope off, and run it. Raises EINVAL (there is none).
---@param execute? boolean # false: do not run it
function scope_cleanup_pop(execute) end

---Lua's pcall, a scope and an interruption point: raises interrupted.
---@param f async fun(...): ...
---@param ... any # for `f`
---@return boolean ok
---@return any ... # what `f` returned, or the error
function pcall(f, ...) end

---Lua's xpcall, a scope and an interruption point: raises interrupted.
---@param f async fun(...): ...
---@param handler fun(err: any): any # runs where the error was raised; cannot suspend
---@param ... any # for `f`
---@return boolean ok
---@return any ... # what `f` returned, or what `handler` did
function xpcall(f, handler, ...) end
