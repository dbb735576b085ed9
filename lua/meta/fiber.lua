-- SPDX-License-Identifier: BSL-1.0
---@meta fiber
-- luacheck: ignore

---Extension. A look at all fibers: fiber(3thrum).
---@class thrum.module.fiber
fiber = {}

---A function with a name, for `spawn` and `thrum.run`.
---@alias thrum.named_function userdata

---A fiber as `fiber.list` saw it: `id` and `name` as in this_fiber; `waits_for` is the call that
---suspended it ("ip.udp.socket.receive_from 127.0.0.1:1234"), `since` when, of time.steady_clock;
---`spawned_at` is "script.lua:12"; `traceback` goes through its coroutines.
---@alias thrum.fiber_entry { id: string, name?: string, state: "new"|"ready"|"running"|"waiting", waits_for?: string, since?: number, spawned_at?: string, is_main: boolean, traceback: string }

---Give `f` a name for the fiber it will be: in `fiber.list` and in reports. Raises EINVAL.
---@param name string
---@param f async fun(...): ...
---@return thrum.named_function
function fiber.named(name, f) end

---With a function: call `f(g, ...)`, join the group `g` when it has ended, however it ends, and return
---what it returned, or raise the first error of `f` and the children. Suspends then. Without: a new
---group. Raises EINVAL for what is no function.
---@async
---@param f? async fun(g: fiber.group, ...): ...
---@param ... any # for `f`
---@return any ... # what `f` returned, or the group
---@overload fun(): fiber.group
function fiber.group(f, ...) end

---All fibers that have not ended, oldest first: a picture of this moment.
---@return thrum.fiber_entry[]
function fiber.list() end

---What a case of `fiber.select` is: a channel to receive from, { channel, value } to send, a semaphore
---to acquire, a timer to expire, a fiber to end.
---@alias thrum.select_case channel|{ [1]: channel, [2]: any }|semaphore|time.steady_timer|time.system_timer|fiber

---Wait until one of several things happens, the first in the list that is ready. Suspends. nil when
---`timeout` seconds are over. Raises EINVAL, EPIPE (a send into a closed channel), ECANCELED (a timer
---was cancelled), EDEADLK (its own end).
---@async
---@param cases { [integer]: thrum.select_case, timeout?: number }
---@return integer? number # of the case
---@return any value # received; nil if that channel is closed and empty
function fiber.select(cases) end

---A fiber's handle: fiber(3thrum). Collected, it detaches the fiber.
---@class fiber
---@field joinable boolean # neither joined nor detached, and nobody waits to join it; read only
---@field interruption_caught boolean # it ended by interruption; raises EINVAL before it is joined
---@field name string? # Extension. From fiber.named
---@field traceback string? # Extension. Once it has died of an error: where
local fib = {}

---Wait for the end; return the function's results or raise its error again. Nothing for a fiber that
---was interrupted. Suspends. Raises EINVAL (not joinable), EDEADLK (itself).
---@async
---@return any ...
function fib:join() end

---Let it run on by itself. Raises EINVAL (not joinable).
function fib:detach() end

---Ask it to end at its next interruption point. Never suspends. Always valid: does nothing to one that
---has ended or was joined; a detached one that still runs is interrupted.
function fib:interrupt() end

---A group of fibers: fiber.group(3thrum). `#` is how many of its children have not ended.
---@class fiber.group
local g = {}

---Make a child. If the group has failed or was interrupted, it ends at its first interruption point.
---Raises EINVAL (no function, the group has ended).
---@param f async fun(...): ... | thrum.named_function
---@param ... any # for `f`
---@return fiber
function g:spawn(f, ...) end

---Wait until all children have ended; raise the first error. Suspends. An interruption, or a timeout,
---ends the children first. Raises EINVAL (it has ended, has a function, another joins it), EDEADLK (a
---child of the group).
---@async
function g:join() end

---Interrupt all children and those to come, and the group's function. Never suspends.
function g:interrupt() end

---Make a fiber; it begins when the caller suspends. In the thrum program and with the prelude;
---`thrum.spawn` everywhere. Raises EINVAL for what is no function.
---@param f async fun(...): ... | thrum.named_function
---@param ... any # Extension. For `f`
---@return fiber
function spawn(f, ...) end

return fiber
