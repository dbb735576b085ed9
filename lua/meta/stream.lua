-- SPDX-License-Identifier: BSL-1.0
---@meta stream
-- luacheck: ignore

---Whole transfers over streams, and readers: stream(3thrum), boost::asio::async_read and its kin.
---@class thrum.module.stream
stream = {}

---What can be read from: a stream socket, or an object of one's own. At the end it raises eof, or
---returns nil.
---@alias thrum.readable { read_some: async fun(self: any, buffer: byte_span): integer? }

---What can be written to.
---@alias thrum.writable { write_some: async fun(self: any, buffer: byte_span): integer }

---Read until the span is full. Raises eof and the stream's errors, with `length`. Suspends.
---@async
---@param s thrum.readable
---@param buffer byte_span
---@return integer nread
function stream.read_all(s, buffer) end

---Read until there are `n` bytes, maybe more. Raises eof and the stream's errors, with `length`.
---Suspends.
---@async
---@param s thrum.readable
---@param buffer byte_span
---@param n integer # up to the span's length
---@return integer nread
function stream.read_at_least(s, buffer, n) end

---Write all of it. Raises the stream's errors, with `length`. Suspends.
---@async
---@param s thrum.writable
---@param buffer byte_span | string | (byte_span | string)[]
---@return integer nwritten
function stream.write_all(s, buffer) end

---Write at least `n` bytes. Raises the stream's errors, with `length`. Suspends.
---@async
---@param s thrum.writable
---@param buffer byte_span | string | (byte_span | string)[]
---@param n integer # up to the length of it all
---@return integer nwritten
function stream.write_at_least(s, buffer, n) end

---Extension. Nothing is read yet.
---@param s thrum.readable
---@return stream.reader
function stream.reader(s) end

---Extension. Lines, records and rests of a stream: stream(3thrum). A call that raises has lost
---nothing. One fiber at a time: EBUSY.
---@class stream.reader
---@field buffered integer # bytes that were read ahead; read only
---@field stream thrum.readable # read only
local r = {}

---The next line without its LF or CRLF; at the end what is left, then nil. Raises EMSGSIZE, EBUSY
---and the stream's errors. Suspends.
---@async
---@param max? integer # bytes
---@return string?
function r:line(max) end

---What comes before the next delimiter; at the end what is left, then nil. Raises EMSGSIZE, EBUSY
---and the stream's errors. Suspends.
---@async
---@param delimiter string | byte_span # not empty
---@param max? integer # bytes
---@return string?
function r:read_until(delimiter, max) end

---The next `n` bytes. Raises eof, EBUSY and the stream's errors. Suspends.
---@async
---@param n integer
---@return string
function r:exactly(n) end

---Everything up to the end. Raises EMSGSIZE, EBUSY and the stream's errors. Suspends.
---@async
---@param max? integer # bytes
---@return string
function r:all(max) end

return stream
