-- SPDX-License-Identifier: BSL-1.0
---@meta thrum.socket
-- luacheck: ignore

return socket
