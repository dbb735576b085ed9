-- SPDX-License-Identifier: BSL-1.0
---@meta thrum.dgram
-- luacheck: ignore

return dgram
