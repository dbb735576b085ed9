-- SPDX-License-Identifier: BSL-1.0
---@meta thrum.generic_error
-- luacheck: ignore

return generic_error
