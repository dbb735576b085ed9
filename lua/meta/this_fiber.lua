-- SPDX-License-Identifier: BSL-1.0
---@meta this_fiber
-- luacheck: ignore

---The running fiber: this_fiber(3thrum). Any other field raises EINVAL.
---@class thrum.module.this_fiber
---@field id string # no other fiber of this state has had it; "0" outside any fiber
---@field is_main boolean # the script, or the function given to thrum.run; true outside any fiber
---@field local_ table # this fiber's own, the same inside its coroutines
this_fiber = {}

---Let the other fibers run that are ready. Suspends.
---@async
function this_fiber.yield() end

return this_fiber
