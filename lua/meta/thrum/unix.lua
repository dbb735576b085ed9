-- SPDX-License-Identifier: BSL-1.0
---@meta thrum.unix
-- luacheck: ignore

return unix
