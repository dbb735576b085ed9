-- SPDX-License-Identifier: BSL-1.0
---@meta thrum.condition_variable
-- luacheck: ignore

return condition_variable
