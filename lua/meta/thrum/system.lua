-- SPDX-License-Identifier: BSL-1.0
---@meta thrum.system
-- luacheck: ignore

return system
