-- SPDX-License-Identifier: BSL-1.0
---@meta unix
-- luacheck: ignore

---Sockets between processes of one host, and descriptors that travel over them: unix(3thrum). A
---path is a file's, at most 107 bytes; or an abstract name, which begins with NUL (Linux).
---@class thrum.module.unix
---@field datagram thrum.module.unix.datagram
---@field stream thrum.module.unix.stream
---@field seqpacket thrum.module.unix.seqpacket
unix = {}

---@class thrum.module.unix.datagram
---@field socket thrum.module.unix.datagram.socket
unix.datagram = {}

---@class thrum.module.unix.stream
---@field socket thrum.module.unix.stream.socket
---@field acceptor thrum.module.unix.stream.acceptor
unix.stream = {}

---@class thrum.module.unix.seqpacket
---@field socket thrum.module.unix.seqpacket.socket
---@field acceptor thrum.module.unix.seqpacket.acceptor
unix.seqpacket = {}

---Options that can be set: types and meanings in unix.stream.socket(3thrum).
---@alias unix.set_option_name
---| "debug" # boolean
---| "send_buffer_size" # integer: bytes
---| "receive_buffer_size" # integer: bytes

---Options that can be read.
---@alias unix.get_option_name
---| "debug" # boolean
---| "send_buffer_size" # integer: bytes
---| "receive_buffer_size" # integer: bytes
---| "error" # Extension. error or nil; reading takes it away

---Datagrams: unix.datagram.socket(3thrum), boost::asio::local::datagram_protocol. Every call on a
---closed socket raises EBADF but open, assign, connect and close; a wrong argument raises EINVAL.
---@class unix.datagram.socket
---@field is_open boolean # read only
---@field local_path string # read only; "" for none; EBADF on a closed socket
---@field remote_path string # read only; "" for none; EBADF, ENOTCONN without a peer
---@field timeout number? # Extension. Seconds a call may wait, nil for ever; on a closed socket, too
local datagram = {}

---Make a descriptor: socket(2). Raises already_open, EMFILE.
function datagram:open() end

---Take a name: bind(2). Raises EADDRINUSE (a file that is there, too), ENAMETOOLONG, ENOENT,
---EACCES.
---@param path string # "" (Linux): an abstract name of the system's choice
function datagram:bind(path) end

---Close; fibers that wait get ECANCELED. May be opened again. The file of `bind` stays.
function datagram:close() end

---End the waits of all fibers on this socket with ECANCELED.
function datagram:cancel() end

---Take over a descriptor. Raises already_open, EBADF, EBUSY (taken), EINVAL (another kind),
---ENOTSOCK.
---@param fd file_descriptor # a unix datagram socket
function datagram:assign(fd) end

---Give the descriptor away, open; fibers that wait get ECANCELED, and nothing is lost.
---@return file_descriptor
function datagram:release() end

---Set an option: setsockopt(2). Raises ENOPROTOOPT (no such option), EINVAL, and the system's.
---@param name unix.set_option_name
---@param value boolean | integer
function datagram:set_option(name, value) end

---Read an option: getsockopt(2). Raises ENOPROTOOPT.
---@param name unix.get_option_name
---@return boolean | integer | error | nil
function datagram:get_option(name) end

---Set the peer; opens a closed socket. Suspends by contract. Raises ECONNREFUSED, ENOENT, EACCES,
---EPERM.
---@async
---@param path string
function datagram:connect(path) end

---End one direction: afterwards receives raise eof, sends EPIPE.
---@param what "receive" | "send" | "both"
function datagram:shutdown(what) end

---Receive one datagram: recv(2). Suspends. Raises EMSGSIZE (with `length`), eof, ECANCELED,
---ETIMEDOUT.
---@async
---@param buffer byte_span # filled from its start; leave it alone meanwhile
---@param flags? integer # of ip.message_flag: peek, truncate
---@return integer nread # bytes
function datagram:receive(buffer, flags) end

---Send one datagram to the peer: send(2). Suspends. Raises ENOTCONN, EMSGSIZE, ECONNREFUSED, EPIPE,
---ECANCELED, ETIMEDOUT.
---@async
---@param buffer byte_span.payload
---@param flags? integer
---@return integer nwritten # bytes
function datagram:send(buffer, flags) end

---The same as `receive`, with the descriptors that come with it: recvmsg(2). Suspends. Raises also
---EMSGSIZE for more than `maxfds` and EMFILE for want of descriptors: then all are closed.
---@async
---@param buffer byte_span # filled from its start; leave it alone meanwhile
---@param maxfds integer # 0 to 253
---@return integer nread # bytes
---@return file_descriptor[] fds
function datagram:receive_with_fds(buffer, maxfds) end

---The same as `send`, with descriptors, which stay open: sendmsg(2). Suspends. Raises also EBADF and
---EBUSY for one that is closed or taken, before anything is sent; ETOOMANYREFS.
---@async
---@param buffer byte_span.payload
---@param fds file_descriptor[] # at most 253, no holes
---@return integer nwritten # bytes
function datagram:send_with_fds(buffer, fds) end

---Extension. Who is at the other end: SO_PEERCRED. Raises ENOTCONN.
---@return integer pid
---@return integer uid
---@return integer gid
function datagram:remote_credentials() end

---The length of the next datagram: FIONREAD. Raises ENOTSUP for other commands.
---@param command "bytes_readable"
---@return integer
function datagram:io_control(command) end

---Disconnect from the peer: connect(2) with AF_UNSPEC.
function datagram:disconnect() end

---Receive one datagram and tell the sender: recvfrom(2). Suspends. Raises like `receive`; EMSGSIZE
---has `path`, too.
---@async
---@param buffer byte_span # filled from its start; leave it alone meanwhile
---@param flags? integer # of ip.message_flag: peek, truncate
---@return integer nread # bytes
---@return string remote_path # "" for a sender without a name
function datagram:receive_from(buffer, flags) end

---Send one datagram: sendto(2). Suspends. Raises like `send`; the error has `path`.
---@async
---@param buffer byte_span.payload
---@param remote_path string
---@param flags? integer
---@return integer nwritten # bytes
function datagram:send_to(buffer, remote_path, flags) end

---`receive_from` and `receive_with_fds` in one: recvmsg(2). Suspends.
---@async
---@param buffer byte_span # filled from its start; leave it alone meanwhile
---@param maxfds integer # 0 to 253
---@return integer nread # bytes
---@return string remote_path # "" for a sender without a name
---@return file_descriptor[] fds
function datagram:receive_from_with_fds(buffer, maxfds) end

---`send_to` and `send_with_fds` in one: sendmsg(2). Suspends.
---@async
---@param buffer byte_span.payload
---@param remote_path string
---@param fds file_descriptor[] # at most 253, no holes
---@return integer nwritten # bytes
function datagram:send_to_with_fds(buffer, remote_path, fds) end

---@class thrum.module.unix.datagram.socket
unix.datagram.socket = {}

---A closed socket. Raises ENOMEM.
---@return unix.datagram.socket
function unix.datagram.socket.new() end

---Two sockets connected with each other: socketpair(2). Raises EMFILE.
---@return unix.datagram.socket a
---@return unix.datagram.socket b
function unix.datagram.socket.pair() end

---A stream of bytes: unix.stream.socket(3thrum), boost::asio::local::stream_protocol. Every call on
---a closed socket raises EBADF but open, assign, connect and close; a wrong argument raises EINVAL.
---@class unix.stream.socket
---@field is_open boolean # read only
---@field local_path string # read only; "" for none; EBADF on a closed socket
---@field remote_path string # read only; "" for none; EBADF, ENOTCONN without a peer
---@field timeout number? # Extension. Seconds a call may wait, nil for ever; on a closed socket, too
local stream = {}

---Make a descriptor: socket(2). Raises already_open, EMFILE.
function stream:open() end

---Take a name: bind(2). Raises EADDRINUSE (a file that is there, too), ENAMETOOLONG, ENOENT,
---EACCES.
---@param path string # "" (Linux): an abstract name of the system's choice
function stream:bind(path) end

---Close; fibers that wait get ECANCELED. May be opened again. The file of `bind` stays.
function stream:close() end

---End the waits of all fibers on this socket with ECANCELED.
function stream:cancel() end

---Take over a descriptor. Raises already_open, EBADF, EBUSY (taken), EINVAL (another kind),
---ENOTSOCK.
---@param fd file_descriptor # a unix stream socket that does not listen
function stream:assign(fd) end

---Give the descriptor away, open; fibers that wait get ECANCELED, and nothing is lost.
---@return file_descriptor
function stream:release() end

---Set an option: setsockopt(2). Raises ENOPROTOOPT (no such option), EINVAL, and the system's.
---@param name unix.set_option_name
---@param value boolean | integer
function stream:set_option(name, value) end

---Read an option: getsockopt(2). Raises ENOPROTOOPT.
---@param name unix.get_option_name
---@return boolean | integer | error | nil
function stream:get_option(name) end

---Connect; opens a closed socket. Suspends while the backlog is full. Raises ECONNREFUSED, ENOENT,
---EACCES, EISCONN, ECANCELED, ETIMEDOUT.
---@async
---@param path string
function stream:connect(path) end

---End one direction: afterwards receives raise eof, sends EPIPE.
---@param what "receive" | "send" | "both"
function stream:shutdown(what) end

---Receive what is there: recv(2). Suspends. Raises eof at the end, ECONNRESET, ECANCELED,
---ETIMEDOUT.
---@async
---@param buffer byte_span # filled from its start; leave it alone meanwhile
---@param flags? integer # of ip.message_flag: peek, out_of_band
---@return integer nread # bytes
function stream:receive(buffer, flags) end

---Send bytes, at least one of them: send(2). Suspends. Raises ENOTCONN, EPIPE, ECONNRESET,
---ECANCELED, ETIMEDOUT.
---@async
---@param buffer byte_span.payload
---@param flags? integer # of ip.message_flag: out_of_band
---@return integer nwritten # bytes
function stream:send(buffer, flags) end

---The same as `receive`, with the descriptors that come with it: recvmsg(2). Suspends. Raises also
---EMSGSIZE for more than `maxfds` and EMFILE for want of descriptors: then all are closed.
---@async
---@param buffer byte_span # filled from its start; leave it alone meanwhile
---@param maxfds integer # 0 to 253
---@return integer nread # bytes
---@return file_descriptor[] fds
function stream:receive_with_fds(buffer, maxfds) end

---The same as `send`, with descriptors, which stay open: sendmsg(2). Suspends. Raises also EBADF and
---EBUSY for one that is closed or taken, before anything is sent; ETOOMANYREFS.
---@async
---@param buffer byte_span.payload
---@param fds file_descriptor[] # at most 253, no holes
---@return integer nwritten # bytes
function stream:send_with_fds(buffer, fds) end

---Extension. Who is at the other end: SO_PEERCRED. Raises ENOTCONN.
---@return integer pid
---@return integer uid
---@return integer gid
function stream:remote_credentials() end

---Bytes the next receive can read without waiting: FIONREAD. Raises ENOTSUP for other commands.
---@param command "bytes_readable"
---@return integer
function stream:io_control(command) end

---`receive` without flags. Suspends.
---@async
---@param buffer byte_span # filled from its start; leave it alone meanwhile
---@return integer nread # bytes
function stream:read_some(buffer) end

---`send` without flags. Suspends.
---@async
---@param buffer byte_span.payload
---@return integer nwritten # bytes, maybe not all
function stream:write_some(buffer) end

---@class thrum.module.unix.stream.socket
unix.stream.socket = {}

---A closed socket. Raises ENOMEM.
---@return unix.stream.socket
function unix.stream.socket.new() end

---Two sockets connected with each other: socketpair(2). Raises EMFILE.
---@return unix.stream.socket a
---@return unix.stream.socket b
function unix.stream.socket.pair() end

---Takes connections: unix.stream.acceptor(3thrum), boost::asio::basic_socket_acceptor. Every call
---on a closed acceptor raises EBADF but open, assign and close; a wrong argument raises EINVAL.
---@class unix.stream.acceptor
---@field is_open boolean # read only
---@field local_path string # read only; "" for none; EBADF on a closed acceptor
---@field timeout number? # Extension. Seconds a call may wait, nil for ever
local stream_acceptor = {}

---Make a descriptor: socket(2). Raises already_open, EMFILE.
function stream_acceptor:open() end

---Take a name: bind(2). Raises EADDRINUSE (a file that is there, too), ENAMETOOLONG, ENOENT,
---EACCES.
---@param path string # "" (Linux): an abstract name of the system's choice
function stream_acceptor:bind(path) end

---Close; fibers that wait get ECANCELED. May be opened again. The file of `bind` stays.
function stream_acceptor:close() end

---End the waits of all fibers on this acceptor with ECANCELED.
function stream_acceptor:cancel() end

---Take over a descriptor. Raises already_open, EBADF, EBUSY (taken), EINVAL (another kind),
---ENOTSOCK.
---@param fd file_descriptor # a unix stream socket that listens
function stream_acceptor:assign(fd) end

---Give the descriptor away, open; fibers that wait get ECANCELED, and nothing is lost.
---@return file_descriptor
function stream_acceptor:release() end

---Set an option: setsockopt(2). Raises ENOPROTOOPT (no such option), EINVAL, and the system's.
---@param name unix.set_option_name
---@param value boolean | integer
function stream_acceptor:set_option(name, value) end

---Read an option: getsockopt(2). Raises ENOPROTOOPT.
---@param name unix.get_option_name
---@return boolean | integer | error | nil
function stream_acceptor:get_option(name) end

---Begin to take connections: listen(2). Raises EINVAL.
---@param backlog? integer # how many may wait; the system's limit without it
function stream_acceptor:listen(backlog) end

---Take a connection: accept(2). Suspends. Raises ECANCELED, ETIMEDOUT, EMFILE, EINVAL (not
---listening).
---@async
---@return unix.stream.socket sock
function stream_acceptor:accept() end

---@class thrum.module.unix.stream.acceptor
unix.stream.acceptor = {}

---A closed acceptor. Raises ENOMEM.
---@return unix.stream.acceptor
function unix.stream.acceptor.new() end

---Records over a connection: unix.seqpacket.socket(3thrum),
---boost::asio::local::seq_packet_protocol. Every call on a closed socket raises EBADF but open,
---assign, connect and close; a wrong argument raises EINVAL.
---@class unix.seqpacket.socket
---@field is_open boolean # read only
---@field local_path string # read only; "" for none; EBADF on a closed socket
---@field remote_path string # read only; "" for none; EBADF, ENOTCONN without a peer
---@field timeout number? # Extension. Seconds a call may wait, nil for ever; on a closed socket, too
local seqpacket = {}

---Make a descriptor: socket(2). Raises already_open, EMFILE.
function seqpacket:open() end

---Take a name: bind(2). Raises EADDRINUSE (a file that is there, too), ENAMETOOLONG, ENOENT,
---EACCES.
---@param path string # "" (Linux): an abstract name of the system's choice
function seqpacket:bind(path) end

---Close; fibers that wait get ECANCELED. May be opened again. The file of `bind` stays.
function seqpacket:close() end

---End the waits of all fibers on this socket with ECANCELED.
function seqpacket:cancel() end

---Take over a descriptor. Raises already_open, EBADF, EBUSY (taken), EINVAL (another kind),
---ENOTSOCK.
---@param fd file_descriptor # a unix seqpacket socket that does not listen
function seqpacket:assign(fd) end

---Give the descriptor away, open; fibers that wait get ECANCELED, and nothing is lost.
---@return file_descriptor
function seqpacket:release() end

---Set an option: setsockopt(2). Raises ENOPROTOOPT (no such option), EINVAL, and the system's.
---@param name unix.set_option_name
---@param value boolean | integer
function seqpacket:set_option(name, value) end

---Read an option: getsockopt(2). Raises ENOPROTOOPT.
---@param name unix.get_option_name
---@return boolean | integer | error | nil
function seqpacket:get_option(name) end

---Connect; opens a closed socket. Suspends while the backlog is full. Raises ECONNREFUSED, ENOENT,
---EACCES, EISCONN, ECANCELED, ETIMEDOUT.
---@async
---@param path string
function seqpacket:connect(path) end

---End one direction: afterwards receives raise eof, sends EPIPE.
---@param what "receive" | "send" | "both"
function seqpacket:shutdown(what) end

---Receive one record: recv(2). Suspends. Raises EMSGSIZE (with `length`), eof at the end,
---ECONNRESET, ECANCELED, ETIMEDOUT.
---@async
---@param buffer byte_span # filled from its start; leave it alone meanwhile
---@param flags? integer # of ip.message_flag: peek, truncate
---@return integer nread # bytes
function seqpacket:receive(buffer, flags) end

---Send one record: send(2). Suspends. Raises ENOTCONN, EMSGSIZE, EPIPE, ECONNRESET, ECANCELED,
---ETIMEDOUT.
---@async
---@param buffer byte_span.payload
---@param flags? integer
---@return integer nwritten # bytes
function seqpacket:send(buffer, flags) end

---The same as `receive`, with the descriptors that come with it: recvmsg(2). Suspends. Raises also
---EMSGSIZE for more than `maxfds` and EMFILE for want of descriptors: then all are closed.
---@async
---@param buffer byte_span # filled from its start; leave it alone meanwhile
---@param maxfds integer # 0 to 253
---@return integer nread # bytes
---@return file_descriptor[] fds
function seqpacket:receive_with_fds(buffer, maxfds) end

---The same as `send`, with descriptors, which stay open: sendmsg(2). Suspends. Raises also EBADF and
---EBUSY for one that is closed or taken, before anything is sent; ETOOMANYREFS.
---@async
---@param buffer byte_span.payload
---@param fds file_descriptor[] # at most 253, no holes
---@return integer nwritten # bytes
function seqpacket:send_with_fds(buffer, fds) end

---Extension. Who is at the other end: SO_PEERCRED. Raises ENOTCONN.
---@return integer pid
---@return integer uid
---@return integer gid
function seqpacket:remote_credentials() end

---Bytes of all records that wait: FIONREAD. Raises ENOTSUP for other commands.
---@param command "bytes_readable"
---@return integer
function seqpacket:io_control(command) end

---@class thrum.module.unix.seqpacket.socket
unix.seqpacket.socket = {}

---A closed socket. Raises ENOMEM.
---@return unix.seqpacket.socket
function unix.seqpacket.socket.new() end

---Two sockets connected with each other: socketpair(2). Raises EMFILE.
---@return unix.seqpacket.socket a
---@return unix.seqpacket.socket b
function unix.seqpacket.socket.pair() end

---Takes connections: unix.seqpacket.acceptor(3thrum), boost::asio::basic_socket_acceptor. Every
---call on a closed acceptor raises EBADF but open, assign and close; a wrong argument raises
---EINVAL.
---@class unix.seqpacket.acceptor
---@field is_open boolean # read only
---@field local_path string # read only; "" for none; EBADF on a closed acceptor
---@field timeout number? # Extension. Seconds a call may wait, nil for ever
local seqpacket_acceptor = {}

---Make a descriptor: socket(2). Raises already_open, EMFILE.
function seqpacket_acceptor:open() end

---Take a name: bind(2). Raises EADDRINUSE (a file that is there, too), ENAMETOOLONG, ENOENT,
---EACCES.
---@param path string # "" (Linux): an abstract name of the system's choice
function seqpacket_acceptor:bind(path) end

---Close; fibers that wait get ECANCELED. May be opened again. The file of `bind` stays.
function seqpacket_acceptor:close() end

---End the waits of all fibers on this acceptor with ECANCELED.
function seqpacket_acceptor:cancel() end

---Take over a descriptor. Raises already_open, EBADF, EBUSY (taken), EINVAL (another kind),
---ENOTSOCK.
---@param fd file_descriptor # a unix seqpacket socket that listens
function seqpacket_acceptor:assign(fd) end

---Give the descriptor away, open; fibers that wait get ECANCELED, and nothing is lost.
---@return file_descriptor
function seqpacket_acceptor:release() end

---Set an option: setsockopt(2). Raises ENOPROTOOPT (no such option), EINVAL, and the system's.
---@param name unix.set_option_name
---@param value boolean | integer
function seqpacket_acceptor:set_option(name, value) end

---Read an option: getsockopt(2). Raises ENOPROTOOPT.
---@param name unix.get_option_name
---@return boolean | integer | error | nil
function seqpacket_acceptor:get_option(name) end

---Begin to take connections: listen(2). Raises EINVAL.
---@param backlog? integer # how many may wait; the system's limit without it
function seqpacket_acceptor:listen(backlog) end

---Take a connection: accept(2). Suspends. Raises ECANCELED, ETIMEDOUT, EMFILE, EINVAL (not
---listening).
---@async
---@return unix.seqpacket.socket sock
function seqpacket_acceptor:accept() end

---@class thrum.module.unix.seqpacket.acceptor
unix.seqpacket.acceptor = {}

---A closed acceptor. Raises ENOMEM.
---@return unix.seqpacket.acceptor
function unix.seqpacket.acceptor.new() end

return unix
