-- SPDX-License-Identifier: BSL-1.0
---@meta thrum.mutex
-- luacheck: ignore

return mutex
