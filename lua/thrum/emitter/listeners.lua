-- SPDX-License-Identifier: BSL-1.0
-- The key under which an emitter keeps its lists of listeners: see emitter.lua.
return setmetatable({}, {__tostring = function() return "listeners" end})
