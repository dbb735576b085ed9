-- SPDX-License-Identifier: BSL-1.0
---@meta thrum.prelude
-- luacheck: ignore

return require "thrum"
