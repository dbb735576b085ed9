-- SPDX-License-Identifier: BSL-1.0
---@meta thrum
-- luacheck: ignore

---The package: thrum(3thrum). Changes no global.
---@class thrum.module
---@field byte_span thrum.module.byte_span
---@field channel thrum.module.channel
---@field condition_variable thrum.module.condition_variable
---@field coroutine thrum.module.coroutine
---@field dgram thrum.module.dgram
---@field emitter thrum.module.emitter
---@field fiber thrum.module.fiber
---@field file_descriptor thrum.module.file_descriptor
---@field generic_error thrum.module.generic_error
---@field ip thrum.module.ip
---@field mutex thrum.module.mutex
---@field semaphore thrum.module.semaphore
---@field socket thrum.module.socket
---@field stream thrum.module.stream
---@field system thrum.module.system
---@field this_fiber thrum.module.this_fiber
---@field time thrum.module.time
---@field unix thrum.module.unix
---@field version string
local thrum = {}

---Make a fiber: fiber(3thrum). Raises EINVAL for what is no function.
---@param f async fun(...): ... | thrum.named_function
---@param ... any # Extension. For `f`
---@return fiber
function thrum.spawn(f, ...) end

---Call `f` in a scope of its own: scope(3thrum).
---@param f async fun(): ...
---@return any ...
function thrum.scope(f) end

---Have a handler run at the end of the current scope.
---@param handler async fun()
function thrum.scope_cleanup_push(handler) end

---Take the newest handler off, and run it. Raises EINVAL (there is none).
---@param execute? boolean # false: do not run it
function thrum.scope_cleanup_pop(execute) end

---The fiber-aware pcall: a scope, and an interruption point.
---@param f async fun(...): ...
---@param ... any
---@return boolean ok
---@return any ...
function thrum.pcall(f, ...) end

---The fiber-aware xpcall.
---@param f async fun(...): ...
---@param handler fun(err: any): any
---@param ... any
---@return boolean ok
---@return any ...
function thrum.xpcall(f, handler, ...) end

---Extension. The fiber-aware require: the main chunk of a module may suspend.
---@async
---@param name string
---@return any value # what package.loaded has
function thrum.require(name) end

---Extension. Run `f` as the main fiber, and all others, until nothing is left to do. Raises what `f`
---raises; deadlock. Inside a fiber: call `f` there; EDEADLK without it.
---@param f? async fun(...): ... | thrum.named_function
---@param ... any # for `f`
---@return any ... # what `f` returned
function thrum.run(f, ...) end

---Extension. Run what is ready, without waiting. Raises EDEADLK inside a fiber.
---@return boolean is_busy # something is left to do
function thrum.poll() end

---Extension. Where uncaught errors go that nobody joins; nil: to standard error; false: nowhere. The id
---is this_fiber's; the name is from fiber.named.
---@param f? false|fun(err: any, traceback?: string, id: string, name?: string)
function thrum.set_reporter(f) end

---Extension. Give the errors of fibers that have failed and that nobody has joined to the reporter now;
---a later `join` raises them all the same.
function thrum.report() end

---Extension. What is alive.
---@return { fibers: integer, operations: integer, objects: integer }
function thrum.stats() end

return thrum
