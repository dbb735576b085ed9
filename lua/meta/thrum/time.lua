-- SPDX-License-Identifier: BSL-1.0
---@meta thrum.time
-- luacheck: ignore

return time
