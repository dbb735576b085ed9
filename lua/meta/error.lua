-- SPDX-License-Identifier: BSL-1.0
---@meta
-- luacheck: ignore

---Whose numbering a code follows: error(3thrum). `tostring` is its name: "system" (errno), "generic"
---(POSIX), "resolver" (getaddrinfo), "misc" (Boost.Asio), "fiber" (the scheduler).
---@class error_category
local category = {}

---The text of a code. Raises EINVAL for what is no integer.
---@param code integer
---@return string
function category:message(code) end

---What thrum's functions raise: error(3thrum). `==` compares code and category; `system` and
---`generic` errors of the same POSIX meaning are equal. `tostring` has all that is there.
---@class error
---@operator concat(any): string
---@field code integer
---@field category error_category
---@field op? string # Extension. What raised it: "ip.udp.socket.bind"
---@field where? string # Extension. The script and line that called it: "server.lua:7"
---@field arg? integer # which argument was wrong, from 1; self is the first of a method
---@field detail? string # Extension. More, in words
---@field address? ip.address | string # Extension. What a call was about, or a datagram's sender
---@field port? integer # Extension. The port that goes with it
---@field path? string # Extension. The path or abstract name of a unix endpoint
---@field cause? any # Extension. What a cleanup handler raised; of cleanup_failed only
---@field length? integer # Extension. Bytes of a datagram that was longer than the buffer, or transferred by stream
local err = {}

---The `generic` error of the same meaning; itself if there is none.
---@return error
function err:togeneric() end
