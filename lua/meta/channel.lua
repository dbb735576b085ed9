-- SPDX-License-Identifier: BSL-1.0
---@meta channel
-- luacheck: ignore

---Extension. Values from fiber to fiber, each to one receiver: channel(3thrum).
---@class thrum.module.channel
channel = {}

---`#` is how many values are in its buffer.
---@class channel
---@field capacity integer # how many values it keeps; read only
---@field is_closed boolean # nothing more can be sent; read only
local ch = {}

---@param capacity? integer # 0 if not said: a send waits for its receiver
---@return channel
function channel.new(capacity) end

---Suspends until there is a receiver, or room. Raises EPIPE (closed).
---@async
---@param value any # but nil
function ch:send(value) end

---The oldest value. Suspends until there is one. Raises eof (closed and empty).
---@async
---@return any value
function ch:receive() end

---For `for value in ch:values() do`, until the channel is closed and empty. Its steps suspend.
---@return async fun(ch: channel): any
---@return channel
function ch:values() end

---Nothing more can be sent; what is buffered can be received.
function ch:close() end

return channel
