-- SPDX-License-Identifier: BSL-1.0
---@meta
-- luacheck: ignore

---A fiber's handle: fiber(3thrum). Collected, it detaches the fiber.
---@class fiber
---@field joinable boolean # neither joined nor detached, and nobody waits to join it; read only
---@field interruption_caught boolean # it ended by interruption; raises EINVAL before it is joined
local fiber = {}

---Wait for the end; return the function's results or raise its error again. Nothing for a fiber that
---was interrupted. Suspends. Raises EINVAL (not joinable), EDEADLK (itself).
---@async
---@return any ...
function fiber:join() end

---Let it run on by itself. Raises EINVAL (not joinable).
function fiber:detach() end

---Ask it to end at its next interruption point. Never suspends. Raises EINVAL (joined, detached).
function fiber:interrupt() end

---Make a fiber; it begins when the caller suspends. In the thrum program and with the prelude;
---`thrum.spawn` everywhere. Raises EINVAL for what is no function.
---@param f async fun(...): ...
---@param ... any # Extension. For `f`
---@return fiber
function spawn(f, ...) end
