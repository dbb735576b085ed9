-- SPDX-License-Identifier: BSL-1.0
---@meta thrum.channel
-- luacheck: ignore

return channel
