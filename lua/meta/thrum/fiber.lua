-- SPDX-License-Identifier: BSL-1.0
---@meta thrum.fiber
-- luacheck: ignore

return fiber
