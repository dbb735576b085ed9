-- SPDX-License-Identifier: BSL-1.0
---@meta file_descriptor
-- luacheck: ignore

---A descriptor with an owner: file_descriptor(3thrum). Comes from `sock:release()` and `fd:dup()`.
---Closed when it is collected. Raises EBADF after `close`, EBUSY after a socket's `assign`.
---@class file_descriptor
---@field native_handle integer # Extension. The system's number, still the object's; read only
local fd = {}

---Close the descriptor, once: close(2). Raises EBADF.
function fd:close() end

---Another descriptor of the same file, close-on-exec: fcntl(2) F_DUPFD_CLOEXEC. Raises EMFILE.
---@return file_descriptor
function fd:dup() end

---Extension. What it is: "udp v4", "unix stream acceptor", "file", "pipe" and so on.
---@return string
function fd:kind() end

---An empty table for now.
---@class thrum.module.file_descriptor
file_descriptor = {}

return file_descriptor
