-- SPDX-License-Identifier: BSL-1.0
---@meta thrum.this_fiber
-- luacheck: ignore

return this_fiber
