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
---@operator len: integer
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

---Extension. Lua's string methods, of the error's text: `tostring(err):byte(i, j)` and so on.
---@param i? integer
---@param j? integer
---@return integer ...
function err:byte(i, j) end

---Extension. string.find, of the error's text.
---@param pattern string | number
---@param init? integer
---@param plain? boolean
---@return integer? first
---@return integer? last
---@return any ... # captures
function err:find(pattern, init, plain) end

---Extension. string.format, with the error's text as the format.
---@param ... any
---@return string
function err:format(...) end

---Extension. string.gmatch, of the error's text.
---@param pattern string | number
---@return fun(): string, ...
function err:gmatch(pattern) end

---Extension. string.gsub, of the error's text.
---@param pattern string | number
---@param replacement string | number | table | function
---@param n? integer
---@return string
---@return integer count
function err:gsub(pattern, replacement, n) end

---Extension. string.len, of the error's text.
---@return integer
function err:len() end

---Extension. string.lower, of the error's text.
---@return string
function err:lower() end

---Extension. string.match, of the error's text.
---@param pattern string | number
---@param init? integer
---@return any ... # captures, or the match
function err:match(pattern, init) end

---Extension. string.rep, of the error's text.
---@param n integer
---@param separator? string | number
---@return string
function err:rep(n, separator) end

---Extension. string.reverse, of the error's text.
---@return string
function err:reverse() end

---Extension. string.sub, of the error's text.
---@param i integer
---@param j? integer
---@return string
function err:sub(i, j) end

---Extension. string.upper, of the error's text.
---@return string
function err:upper() end
