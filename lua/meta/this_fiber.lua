-- SPDX-License-Identifier: BSL-1.0
---@meta this_fiber
-- luacheck: ignore

---The running fiber: this_fiber(3thrum). Any other field raises EINVAL.
---@class thrum.module.this_fiber
---@field id string # no other fiber of this state has had it; "0" outside any fiber
---@field name? string # Extension. From fiber.named
---@field is_main boolean # the script, or the function given to thrum.run; true outside any fiber
---@field local_ table # this fiber's own, the same inside its coroutines
this_fiber = {}

---Let the other fibers run that are ready. Suspends.
---@async
function this_fiber.yield() end

---No interruption is delivered until `restore_interruption`. Counted.
function this_fiber.disable_interruption() end

---Take one `disable_interruption` back; no interruption point itself. Raises EPERM (unbalanced).
function this_fiber.restore_interruption() end

---Each call that may suspend raises suspend_forbidden until `allow_suspend`. Counted.
function this_fiber.forbid_suspend() end

---Take one `forbid_suspend` back. Raises EPERM (unbalanced).
function this_fiber.allow_suspend() end

return this_fiber
