-- SPDX-License-Identifier: BSL-1.0
---@meta byte_span
-- luacheck: ignore

---What a function that only reads bytes takes.
---@alias byte_span.bytes byte_span | string

---What is sent: a list is gathered into one datagram.
---@alias byte_span.payload byte_span | string | (byte_span | string)[]

---A window on a block of bytes: byte_span(3thrum). Positions begin at 1. `#span` is the length,
---`tostring(span)` the bytes, `==` compares bytes. Nothing here suspends.
---@class byte_span
---@field capacity integer # bytes from the span's start to the end of its block; read only
---@field [integer] integer # the byte at a position; raises ERANGE outside, EINVAL for no byte
---@operator len: integer
local span = {}

---The window from `first` to `last`; `last` may reach the capacity. Raises ERANGE.
---@param first? integer # 1 by default
---@param last? integer # the length by default
---@return byte_span # on the same block
function span:slice(first, last) end

---Copy to the start of this span; the shorter length counts; the two may overlap.
---@param src byte_span.bytes
---@return integer n # bytes copied
function span:copy(src) end

---The bytes of all, in place if the capacity suffices, else in a new block. Raises ENOMEM.
---@param ... byte_span.bytes? # nil is skipped
---@return byte_span
function span:append(...) end

---The first place of the bytes `s`, not before `first`. No patterns. Raises ERANGE.
---@param s byte_span.bytes
---@param first? integer # 1 by default
---@return integer? position
function span:find(s, first) end

---The last place of the bytes `s`, beginning not behind `last`. Raises ERANGE.
---@param s byte_span.bytes
---@param last? integer
---@return integer? position
function span:rfind(s, last) end

---The first byte, from `first` on, that is in `set`. Raises ERANGE.
---@param set byte_span.bytes
---@param first? integer # 1 by default
---@return integer? position
function span:find_first_of(set, first) end

---The last byte, up to `last`, that is in `set`. Raises ERANGE.
---@param set byte_span.bytes
---@param last? integer
---@return integer? position
function span:find_last_of(set, last) end

---The first byte, from `first` on, that is not in `set`. Raises ERANGE.
---@param set byte_span.bytes
---@param first? integer # 1 by default
---@return integer? position
function span:find_first_not_of(set, first) end

---The last byte, up to `last`, that is not in `set`. Raises ERANGE.
---@param set byte_span.bytes
---@param last? integer
---@return integer? position
function span:find_last_not_of(set, last) end

---@param prefix byte_span.bytes
---@return boolean
function span:starts_with(prefix) end

---@param suffix byte_span.bytes
---@return boolean
function span:ends_with(suffix) end

---The window without the bytes of `set` at both ends.
---@param set? byte_span.bytes # white space by default
---@return byte_span # on the same block
function span:trimmed(set) end

---Extension. The unsigned integer of 1 byte at `index`. Raises ERANGE.
---@param index integer
---@return integer
function span:get_u8(index) end

---Extension. The unsigned integer of 2 bytes at `index`. Raises ERANGE.
---@param index integer
---@param order? "be" | "le" # "be", network order, by default
---@return integer
function span:get_u16(index, order) end

---Extension. The unsigned integer of 4 bytes at `index`. Raises ERANGE.
---@param index integer
---@param order? "be" | "le" # "be", network order, by default
---@return integer
function span:get_u32(index, order) end

---Extension. The 8 bytes at `index`; with the highest bit set it comes out negative. Raises ERANGE.
---@param index integer
---@param order? "be" | "le" # "be", network order, by default
---@return integer
function span:get_u64(index, order) end

---Extension. Raises ERANGE for the index, EINVAL for a value that does not fit.
---@param index integer
---@param value integer # 0 to 255
function span:set_u8(index, value) end

---Extension. Raises ERANGE for the index, EINVAL for a value that does not fit.
---@param index integer
---@param value integer # 0 to 65535
---@param order? "be" | "le" # "be", network order, by default
function span:set_u16(index, value, order) end

---Extension. Raises ERANGE for the index, EINVAL for a value that does not fit.
---@param index integer
---@param value integer # 0 to 4294967295
---@param order? "be" | "le" # "be", network order, by default
function span:set_u32(index, value, order) end

---Extension. Raises ERANGE for the index.
---@param index integer
---@param value integer # a negative one by its bits
---@param order? "be" | "le" # "be", network order, by default
function span:set_u64(index, value, order) end

---Extension. Set every byte. Raises EINVAL.
---@param byte integer # 0 to 255
function span:fill(byte) end

---Extension. The bytes as hexadecimal digits, lower case.
---@return string
function span:hex() end

---@class thrum.module.byte_span
byte_span = {}

---A block of `capacity` bytes, all zero, and a span on its first `length`. Raises EINVAL, ENOMEM.
---@param length integer
---@param capacity? integer # `length` by default
---@return byte_span
function byte_span.new(length, capacity) end

---The same as `span:append(...)`; the first argument may be a string or nil as well.
---@param first byte_span.bytes?
---@param ... byte_span.bytes? # nil is skipped
---@return byte_span
function byte_span.append(first, ...) end

return byte_span
