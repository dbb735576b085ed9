-- SPDX-License-Identifier: BSL-1.0
---@meta thrum.emitter
-- luacheck: ignore

return emitter
