-- SPDX-License-Identifier: BSL-1.0
---@meta thrum.ip
-- luacheck: ignore

return ip
