-- SPDX-License-Identifier: BSL-1.0
---@meta thrum.file_descriptor
-- luacheck: ignore

return file_descriptor
