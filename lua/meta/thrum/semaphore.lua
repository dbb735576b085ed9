-- SPDX-License-Identifier: BSL-1.0
---@meta thrum.semaphore
-- luacheck: ignore

return semaphore
