-- SPDX-License-Identifier: BSL-1.0
---@meta thrum.stream
-- luacheck: ignore

return stream
