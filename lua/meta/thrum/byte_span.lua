-- SPDX-License-Identifier: BSL-1.0
---@meta thrum.byte_span
-- luacheck: ignore

return byte_span
