-- SPDX-License-Identifier: BSL-1.0
---@meta ip
-- luacheck: ignore

---Addresses, sockets, endpoints as text: ip(3thrum).
---@class thrum.module.ip
---@field address thrum.module.ip.address
---@field network thrum.module.ip.network
---@field message_flag thrum.module.ip.message_flag
---@field address_info_flag thrum.module.ip.address_info_flag
---@field udp thrum.module.ip.udp
---@field tcp thrum.module.ip.tcp
ip = {}

---The name of this host: gethostname(2).
---@return string
function ip.host_name() end

---"192.0.2.1:53", "[2001:db8::1]:53"; the address alone without a port. Raises EINVAL.
---@param addr ip.address
---@param port? integer # 0 to 65535
---@return string
function ip.tostring(addr, port) end

---The reverse; the port must be there. Raises EINVAL.
---@param text string
---@return ip.address addr
---@return integer port
function ip.toendpoint(text) end

---Connect to the first endpoint that will have it, in their order: boost::asio::connect. Suspends.
---Raises the last error, not_found without any attempt, ECANCELED.
---@async
---@param sock ip.tcp.socket | ip.udp.socket # closed, and opened, for each
---@param results ip.address_info[]
---@param condition? fun(last_error: error?, addr: ip.address, port: integer): boolean # false: skip
---@return ip.address addr
---@return integer port
function ip.connect(sock, results, condition) end

---Extension. Connect to whichever endpoint answers first: RFC 8305. Suspends. Raises the error that
---came last, not_found for an empty list.
---@async
---@param results ip.address_info[]
---@param options? { delay: number? } # seconds between two attempts, 0.25 without it
---@return ip.tcp.socket sock # a new one
---@return ip.address addr
---@return integer port
function ip.connect_any(results, options) end

---An address, immutable and interned: ip.address(3thrum), boost::asio::ip::address. `==`, `<`, `<=`,
---`tostring` (RFC 5952), and a table key. The fields are read only; those "of v6" raise EINVAL for v4.
---@class ip.address
---@field is_v4 boolean
---@field is_v6 boolean
---@field is_loopback boolean
---@field is_multicast boolean
---@field is_unspecified boolean
---@field is_private boolean # Extension. RFC 1918, RFC 4193
---@field is_global boolean # Extension. RFC 6890 and successors
---@field is_link_local boolean # of v6
---@field is_site_local boolean # of v6
---@field is_v4_mapped boolean # of v6
---@field is_multicast_global boolean # of v6
---@field is_multicast_link_local boolean # of v6
---@field is_multicast_node_local boolean # of v6
---@field is_multicast_org_local boolean # of v6
---@field is_multicast_site_local boolean # of v6
---@field scope_id integer # of v6: the interface's index, 0 for none
local address = {}

---The mapped form of a v4 address; a v6 address as it is.
---@return ip.address
function address:to_v6() end

---The v4 address inside a mapped one; a v4 address as it is. Raises EINVAL for others.
---@return ip.address
function address:to_v4() end

---Extension. The 4 or 16 bytes in network order.
---@return string
function address:to_bytes() end

---Extension. The same v6 address with that scope. Raises EINVAL for v4, ENODEV for an unknown name.
---@param scope integer | string # index, 0 for none, or interface name
---@return ip.address
function address:with_scope_id(scope) end

---@class thrum.module.ip.address
ip.address = {}

---Read the numeric form, with a zone (RFC 4007) for v6. Names are not looked up. Raises EINVAL.
---@param text? string # 0.0.0.0 without it
---@return ip.address
function ip.address.new(text) end

---@return ip.address # 0.0.0.0
function ip.address.any_v4() end

---@return ip.address # ::
function ip.address.any_v6() end

---@return ip.address # 127.0.0.1
function ip.address.loopback_v4() end

---@return ip.address # ::1
function ip.address.loopback_v6() end

---@return ip.address # 255.255.255.255
function ip.address.broadcast_v4() end

---Extension. Raises EINVAL.
---@param bytes string # 4 or 16 bytes in network order
---@return ip.address
function ip.address.from_bytes(bytes) end

---Extension. An address and a prefix length: ip.network(3thrum), boost::asio::ip::network_v4.
---`==` and `tostring`. The fields are read only.
---@class ip.network
---@field address ip.address # as given, host bits and all
---@field prefix_length integer
---@field netmask ip.address
---@field broadcast ip.address # the last address; raises EINVAL for v6
local network = {}

---Whether the address has the prefix; never for another family.
---@param addr ip.address
---@return boolean
function network:contains(addr) end

---@class thrum.module.ip.network
ip.network = {}

---Read "10.0.0.0/8" or "fd00::/8". Raises EINVAL.
---@param text string
---@return ip.network
function ip.network.new(text) end

---Flags of one datagram, combined with `|`: ip.message_flag(3thrum), recv(2), send(2).
---@class thrum.module.ip.message_flag
---@field peek integer # receive: leave the datagram where it is
---@field truncate integer # Extension. receive: no error for a datagram longer than the buffer
---@field out_of_band integer # urgent data; UDP has none
---@field do_not_route integer # send: past no router
---@field end_of_record integer # send: UDP ignores it
ip.message_flag = {}

---Flags of lookups, combined with `|`: ip.address_info_flag(3thrum), getaddrinfo(3).
---@class thrum.module.ip.address_info_flag
---@field canonical_name integer # tell the host's own name
---@field passive integer # no host is the unspecified address
---@field numeric_host integer # the host is no name
---@field numeric_service integer # the service is no name
---@field v4_mapped integer # v4 addresses in mapped form where v6 ones are missing
---@field all_matching integer # with v4_mapped: beside them, too
---@field address_configured integer # only families that an interface has
ip.address_info_flag = {}

---An endpoint that a lookup has found.
---@alias ip.address_info { address: ip.address, port: integer, canonical_name: string? }

---The names that a lookup has found.
---@alias ip.name_info { host_name: string, service_name: string }

---UDP: ip.udp(3thrum), boost::asio::ip::udp::resolver.
---@class thrum.module.ip.udp
---@field socket thrum.module.ip.udp.socket
ip.udp = {}

---The addresses of a host and the port of a service: getaddrinfo(3). Suspends, but not for numbers.
---Raises the resolver's errors, EINVAL, ETIMEDOUT.
---@async
---@param host string | ip.address | nil # nil: this host
---@param service string | integer # a port, 0 to 65535, or a name of services(5)
---@param flags? integer # of ip.address_info_flag
---@return ip.address_info[] results # at least one
function ip.udp.get_address_info(host, service, flags) end

---The same with v4 addresses only.
---@async
---@param host string | ip.address | nil
---@param service string | integer
---@param flags? integer # of ip.address_info_flag
---@return ip.address_info[] results
function ip.udp.get_address_v4_info(host, service, flags) end

---The same with v6 addresses only.
---@async
---@param host string | ip.address | nil
---@param service string | integer
---@param flags? integer # of ip.address_info_flag
---@return ip.address_info[] results
function ip.udp.get_address_v6_info(host, service, flags) end

---The names of an endpoint, its numbers where it has none: getnameinfo(3). Suspends. Raises the
---resolver's errors, EINVAL, ETIMEDOUT.
---@async
---@param addr ip.address | string # a string in numeric form
---@param port integer
---@return ip.name_info[] results # one
function ip.udp.get_name_info(addr, port) end

---TCP: ip.tcp(3thrum), boost::asio::ip::tcp::resolver.
---@class thrum.module.ip.tcp
---@field socket thrum.module.ip.tcp.socket
---@field acceptor thrum.module.ip.tcp.acceptor
ip.tcp = {}

---The addresses of a host and the port of a service: getaddrinfo(3). Suspends, but not for numbers.
---Raises the resolver's errors, EINVAL, ETIMEDOUT.
---@async
---@param host string | ip.address | nil # nil: this host
---@param service string | integer # a port, 0 to 65535, or a name of services(5)
---@param flags? integer # of ip.address_info_flag
---@return ip.address_info[] results # at least one
function ip.tcp.get_address_info(host, service, flags) end

---The same with v4 addresses only.
---@async
---@param host string | ip.address | nil
---@param service string | integer
---@param flags? integer # of ip.address_info_flag
---@return ip.address_info[] results
function ip.tcp.get_address_v4_info(host, service, flags) end

---The same with v6 addresses only.
---@async
---@param host string | ip.address | nil
---@param service string | integer
---@param flags? integer # of ip.address_info_flag
---@return ip.address_info[] results
function ip.tcp.get_address_v6_info(host, service, flags) end

---The names of an endpoint, its numbers where it has none: getnameinfo(3). Suspends. Raises the
---resolver's errors, EINVAL, ETIMEDOUT.
---@async
---@param addr ip.address | string # a string in numeric form
---@param port integer
---@return ip.name_info[] results # one
function ip.tcp.get_name_info(addr, port) end

---Options that can be set: types and meanings in ip.udp.socket(3thrum).
---@alias ip.udp.socket.set_option_name
---| "debug" # boolean
---| "broadcast" # boolean
---| "do_not_route" # boolean
---| "send_buffer_size" # integer: bytes
---| "receive_buffer_size" # integer: bytes
---| "reuse_address" # boolean
---| "multicast_loop" # boolean
---| "multicast_hops" # integer, 0 to 255
---| "unicast_hops" # integer, 0 (v4: 1) to 255
---| "v6_only" # boolean; v6
---| "join_multicast_group" # ip.address[, interface]
---| "leave_multicast_group" # ip.address[, interface]
---| "join_source_group" # Extension. ip.address, source[, interface]
---| "leave_source_group" # Extension. ip.address, source[, interface]
---| "multicast_interface" # interface
---| "reuse_port" # Extension. boolean
---| "type_of_service" # Extension. integer, 0 to 255
---| "bind_to_device" # Extension. string
---| "mark" # Extension. integer
---| "multicast_all" # Extension. boolean
---| "mtu_discover" # Extension. "want", "do", "dont" or "probe"

---Options that can be read.
---@alias ip.udp.socket.get_option_name
---| "debug" # boolean
---| "broadcast" # boolean
---| "do_not_route" # boolean
---| "send_buffer_size" # integer: bytes
---| "receive_buffer_size" # integer: bytes
---| "reuse_address" # boolean
---| "multicast_loop" # boolean
---| "multicast_hops" # integer
---| "unicast_hops" # integer
---| "v6_only" # boolean; v6
---| "reuse_port" # Extension. boolean
---| "error" # Extension. error or nil; reading takes it away
---| "type_of_service" # Extension. integer
---| "bind_to_device" # Extension. string
---| "mark" # Extension. integer
---| "multicast_all" # Extension. boolean
---| "mtu_discover" # Extension. string

---An interface: an address it has, or (Extension) its name or index.
---@alias ip.interface ip.address | string | integer

---UDP (RFC 768): ip.udp.socket(3thrum), boost::asio::ip::udp::socket. Every call on a closed socket
---raises EBADF but open, assign, connect and close; a wrong argument raises EINVAL.
---@class ip.udp.socket
---@field is_open boolean # read only
---@field local_address ip.address # read only; EBADF on a closed socket
---@field local_port integer # read only; EBADF on a closed socket
---@field remote_address ip.address # read only; EBADF, ENOTCONN without a peer
---@field remote_port integer # read only; EBADF, ENOTCONN without a peer
---@field timeout number? # Extension. Seconds a call may wait, nil for ever; on a closed socket, too
local socket = {}

---Make a descriptor: socket(2). Raises already_open, EMFILE, EAFNOSUPPORT.
---@param address_family "v4" | "v6" | ip.address
function socket:open(address_family) end

---Take a local endpoint: bind(2). Raises EADDRINUSE, EADDRNOTAVAIL, EACCES, EAFNOSUPPORT.
---@param addr ip.address | string # a string in numeric form
---@param port integer # 0: the system chooses
function socket:bind(addr, port) end

---Set the peer; opens a closed socket. Suspends by contract: UDP is connected at once.
---@async
---@param addr ip.address
---@param port integer
function socket:connect(addr, port) end

---Disconnect from the peer: connect(2) with AF_UNSPEC.
function socket:disconnect() end

---End one direction: afterwards receives raise eof, sends EPIPE.
---@param what "receive" | "send" | "both"
function socket:shutdown(what) end

---Close; fibers that wait get ECANCELED. May be opened again. Quiet on a closed socket.
function socket:close() end

---End the waits of all fibers on this socket with ECANCELED.
function socket:cancel() end

---Take over a descriptor. Raises already_open, EBADF, EBUSY (taken), EINVAL (another kind), ENOTSOCK.
---@param address_family "v4" | "v6" | ip.address
---@param fd file_descriptor
function socket:assign(address_family, fd) end

---Give the descriptor away, open; fibers that wait get ECANCELED.
---@return file_descriptor
function socket:release() end

---Receive one datagram: recv(2). Suspends. Raises EMSGSIZE (with `length`), eof, ECANCELED,
---ETIMEDOUT, ECONNREFUSED (connected).
---@async
---@param buffer byte_span # filled from its start; leave it alone meanwhile
---@param flags? integer # of ip.message_flag: peek, truncate, out_of_band
---@return integer nread # bytes
function socket:receive(buffer, flags) end

---Receive one datagram and tell the sender: recvfrom(2). Suspends. Raises like `receive`; EMSGSIZE
---has `address` and `port`, too.
---@async
---@param buffer byte_span # filled from its start; leave it alone meanwhile
---@param flags? integer # of ip.message_flag: peek, truncate, out_of_band
---@return integer nread # bytes
---@return ip.address remote_addr
---@return integer remote_port
function socket:receive_from(buffer, flags) end

---Send one datagram to the peer: send(2). Suspends. Raises EDESTADDRREQ (no peer), EMSGSIZE,
---ECONNREFUSED, ENOBUFS, EPERM, ENETUNREACH, EPIPE, ECANCELED, ETIMEDOUT.
---@async
---@param buffer byte_span.payload
---@param flags? integer # of ip.message_flag: do_not_route, end_of_record, out_of_band
---@return integer nwritten # bytes
function socket:send(buffer, flags) end

---Send one datagram: sendto(2). Suspends. Raises like `send`; the error has `address` and `port`.
---@async
---@param buffer byte_span.payload
---@param remote_addr ip.address
---@param remote_port integer
---@param flags? integer # of ip.message_flag: do_not_route, end_of_record, out_of_band
---@return integer nwritten # bytes
function socket:send_to(buffer, remote_addr, remote_port, flags) end

---Set an option: setsockopt(2). Raises ENOPROTOOPT (no such option), EINVAL, and the system's.
---@param name ip.udp.socket.set_option_name
---@param value boolean | integer | string | ip.address
---@param interface? ip.interface # for join_multicast_group and leave_multicast_group; for the options
---of sources that is the source, an ip.address
---@param source_interface? ip.interface # for join_source_group and leave_source_group
function socket:set_option(name, value, interface, source_interface) end

---Read an option: getsockopt(2). Raises ENOPROTOOPT.
---@param name ip.udp.socket.get_option_name
---@return boolean | integer | string | error | nil
function socket:get_option(name) end

---Bytes the next receive can read without waiting: FIONREAD. Raises ENOTSUP for other commands.
---@param command "bytes_readable"
---@return integer
function socket:io_control(command) end

---@class thrum.module.ip.udp.socket
ip.udp.socket = {}

---A closed socket. Raises ENOMEM.
---@return ip.udp.socket
function ip.udp.socket.new() end

---Options that can be set: types and meanings in ip.tcp.socket(3thrum).
---@alias ip.tcp.socket.set_option_name
---| "debug" # boolean
---| "do_not_route" # boolean
---| "send_buffer_size" # integer: bytes
---| "receive_buffer_size" # integer: bytes
---| "reuse_address" # boolean
---| "unicast_hops" # integer, 0 (v4: 1) to 255
---| "v6_only" # boolean; v6
---| "tcp_no_delay" # boolean
---| "keep_alive" # boolean
---| "linger" # {boolean, whole seconds}
---| "out_of_band_inline" # boolean
---| "send_low_watermark" # integer: bytes; Linux cannot set it
---| "receive_low_watermark" # integer: bytes
---| "reuse_port" # Extension. boolean
---| "type_of_service" # Extension. integer, 0 to 255
---| "bind_to_device" # Extension. string
---| "mark" # Extension. integer
---| "mtu_discover" # Extension. "want", "do", "dont" or "probe"
---| "tcp_keep_idle" # Extension. integer: seconds
---| "tcp_keep_interval" # Extension. integer: seconds
---| "tcp_keep_count" # Extension. integer
---| "tcp_user_timeout" # Extension. number: seconds, 0 for the system's default
---| "fast_open" # Extension. boolean

---Options that can be read.
---@alias ip.tcp.socket.get_option_name
---| "debug" # boolean
---| "do_not_route" # boolean
---| "send_buffer_size" # integer: bytes
---| "receive_buffer_size" # integer: bytes
---| "reuse_address" # boolean
---| "unicast_hops" # integer, 0 (v4: 1) to 255
---| "v6_only" # boolean; v6
---| "tcp_no_delay" # boolean
---| "keep_alive" # boolean
---| "linger" # {boolean, whole seconds}
---| "out_of_band_inline" # boolean
---| "send_low_watermark" # integer: bytes; Linux cannot set it
---| "receive_low_watermark" # integer: bytes
---| "error" # Extension. error or nil; reading takes it away
---| "reuse_port" # Extension. boolean
---| "type_of_service" # Extension. integer, 0 to 255
---| "bind_to_device" # Extension. string
---| "mark" # Extension. integer
---| "mtu_discover" # Extension. "want", "do", "dont" or "probe"
---| "tcp_keep_idle" # Extension. integer: seconds
---| "tcp_keep_interval" # Extension. integer: seconds
---| "tcp_keep_count" # Extension. integer
---| "tcp_user_timeout" # Extension. number: seconds, 0 for the system's default
---| "fast_open" # Extension. boolean

---Options that can be set: types and meanings in ip.tcp.acceptor(3thrum).
---@alias ip.tcp.acceptor.set_option_name
---| "debug" # boolean
---| "do_not_route" # boolean
---| "send_buffer_size" # integer: bytes
---| "receive_buffer_size" # integer: bytes
---| "reuse_address" # boolean
---| "unicast_hops" # integer, 0 (v4: 1) to 255
---| "v6_only" # boolean; v6
---| "tcp_no_delay" # boolean
---| "keep_alive" # boolean
---| "linger" # {boolean, whole seconds}
---| "reuse_port" # Extension. boolean
---| "type_of_service" # Extension. integer, 0 to 255
---| "bind_to_device" # Extension. string
---| "mark" # Extension. integer
---| "mtu_discover" # Extension. "want", "do", "dont" or "probe"
---| "tcp_keep_idle" # Extension. integer: seconds
---| "tcp_keep_interval" # Extension. integer: seconds
---| "tcp_keep_count" # Extension. integer
---| "tcp_user_timeout" # Extension. number: seconds, 0 for the system's default
---| "defer_accept" # Extension. integer: seconds
---| "fast_open" # Extension. integer: how many at a time

---Options that can be read.
---@alias ip.tcp.acceptor.get_option_name
---| "debug" # boolean
---| "do_not_route" # boolean
---| "send_buffer_size" # integer: bytes
---| "receive_buffer_size" # integer: bytes
---| "reuse_address" # boolean
---| "unicast_hops" # integer, 0 (v4: 1) to 255
---| "v6_only" # boolean; v6
---| "tcp_no_delay" # boolean
---| "keep_alive" # boolean
---| "linger" # {boolean, whole seconds}
---| "error" # Extension. error or nil; reading takes it away
---| "reuse_port" # Extension. boolean
---| "type_of_service" # Extension. integer, 0 to 255
---| "bind_to_device" # Extension. string
---| "mark" # Extension. integer
---| "mtu_discover" # Extension. "want", "do", "dont" or "probe"
---| "tcp_keep_idle" # Extension. integer: seconds
---| "tcp_keep_interval" # Extension. integer: seconds
---| "tcp_keep_count" # Extension. integer
---| "tcp_user_timeout" # Extension. number: seconds, 0 for the system's default
---| "defer_accept" # Extension. integer: seconds
---| "fast_open" # Extension. integer: how many at a time

---A TCP connection (RFC 9293): ip.tcp.socket(3thrum), boost::asio::ip::tcp::socket. Every call on a
---closed socket raises EBADF but open, assign, connect and close; a wrong argument raises EINVAL.
---@class ip.tcp.socket
---@field is_open boolean # read only
---@field local_address ip.address # read only; EBADF on a closed socket
---@field local_port integer # read only; EBADF on a closed socket
---@field remote_address ip.address # read only; EBADF, ENOTCONN without a peer
---@field remote_port integer # read only; EBADF, ENOTCONN without a peer
---@field at_mark boolean # read only; sockatmark(3); EBADF on a closed socket
---@field timeout number? # Extension. Seconds a call may wait, nil for ever; on a closed socket, too
local tcp_socket = {}

---Make a descriptor: socket(2). Raises already_open, EMFILE, EAFNOSUPPORT.
---@param address_family "v4" | "v6" | ip.address
function tcp_socket:open(address_family) end

---Take a local endpoint: bind(2). Raises EADDRINUSE, EADDRNOTAVAIL, EACCES, EAFNOSUPPORT.
---@param addr ip.address | string # a string in numeric form
---@param port integer # 0: the system chooses
function tcp_socket:bind(addr, port) end

---Connect; opens a closed socket. Suspends. After an error `close` it. Raises ECONNREFUSED,
---ETIMEDOUT, ENETUNREACH, EHOSTUNREACH, EISCONN, EALREADY, ECONNABORTED, ECANCELED.
---@async
---@param addr ip.address
---@param port integer
function tcp_socket:connect(addr, port) end

---End one direction: afterwards receives raise eof, sends EPIPE. Raises ENOTCONN.
---@param what "receive" | "send" | "both"
function tcp_socket:shutdown(what) end

---Close; fibers that wait get ECANCELED. May be opened again. Quiet on a closed socket.
function tcp_socket:close() end

---End the waits of all fibers on this socket with ECANCELED.
function tcp_socket:cancel() end

---Take over a descriptor. Raises already_open, EBADF, EBUSY (taken), EINVAL (another kind), ENOTSOCK.
---@param address_family "v4" | "v6" | ip.address
---@param fd file_descriptor # a TCP socket that does not listen
function tcp_socket:assign(address_family, fd) end

---Give the descriptor away, open; fibers that wait get ECANCELED, and nothing is lost.
---@return file_descriptor
function tcp_socket:release() end

---Receive what is there: recv(2). Suspends. Raises eof at the end, ECONNRESET, ECANCELED,
---ETIMEDOUT.
---@async
---@param buffer byte_span # filled from its start; leave it alone meanwhile
---@param flags? integer # of ip.message_flag: peek, out_of_band
---@return integer nread # bytes
function tcp_socket:receive(buffer, flags) end

---`receive` without flags. Suspends.
---@async
---@param buffer byte_span # filled from its start; leave it alone meanwhile
---@return integer nread # bytes
function tcp_socket:read_some(buffer) end

---Send bytes, at least one of them: send(2). Suspends. Raises EPIPE, ECONNRESET, ECANCELED,
---ETIMEDOUT.
---@async
---@param buffer byte_span.payload
---@param flags? integer # of ip.message_flag: out_of_band, do_not_route
---@return integer nwritten # bytes, maybe not all
function tcp_socket:send(buffer, flags) end

---`send` without flags. Suspends.
---@async
---@param buffer byte_span.payload
---@return integer nwritten # bytes, maybe not all
function tcp_socket:write_some(buffer) end

---Set an option: setsockopt(2). Raises ENOPROTOOPT (no such option), EINVAL, and the system's.
---@param name ip.tcp.socket.set_option_name
---@param value boolean | integer | number | string | table
function tcp_socket:set_option(name, value) end

---Read an option: getsockopt(2). Raises ENOPROTOOPT.
---@param name ip.tcp.socket.get_option_name
---@return boolean | integer | number | string | table | error | nil
function tcp_socket:get_option(name) end

---Bytes the next receive can read without waiting: FIONREAD. Raises ENOTSUP for other commands.
---@param command "bytes_readable"
---@return integer
function tcp_socket:io_control(command) end

---@class thrum.module.ip.tcp.socket
ip.tcp.socket = {}

---A closed socket. Raises ENOMEM.
---@return ip.tcp.socket
function ip.tcp.socket.new() end

---Takes TCP connections: ip.tcp.acceptor(3thrum), boost::asio::basic_socket_acceptor. Every call on
---a closed acceptor raises EBADF but open, assign and close; a wrong argument raises EINVAL.
---@class ip.tcp.acceptor
---@field is_open boolean # read only
---@field local_address ip.address # read only; EBADF on a closed acceptor
---@field local_port integer # read only; EBADF on a closed acceptor
---@field timeout number? # Extension. Seconds a call may wait, nil for ever
local tcp_acceptor = {}

---Make a descriptor: socket(2). Raises already_open, EMFILE, EAFNOSUPPORT.
---@param address_family "v4" | "v6" | ip.address
function tcp_acceptor:open(address_family) end

---Take a local endpoint: bind(2). Raises EADDRINUSE, EADDRNOTAVAIL, EACCES, EAFNOSUPPORT.
---@param addr ip.address | string # a string in numeric form
---@param port integer # 0: the system chooses
function tcp_acceptor:bind(addr, port) end

---Begin to take connections: listen(2). Raises EADDRINUSE.
---@param backlog? integer # how many may wait; the system's limit without it
function tcp_acceptor:listen(backlog) end

---Take a connection: accept(2). Suspends. Raises EINVAL (it does not listen), EMFILE once per call,
---ECANCELED, ETIMEDOUT.
---@async
---@return ip.tcp.socket
function tcp_acceptor:accept() end

---Close; fibers that wait get ECANCELED. May be opened again. Quiet on a closed acceptor.
function tcp_acceptor:close() end

---End the waits of all fibers on this acceptor with ECANCELED.
function tcp_acceptor:cancel() end

---Take over a descriptor. Raises already_open, EBADF, EBUSY (taken), EINVAL (another kind), ENOTSOCK.
---@param address_family "v4" | "v6" | ip.address
---@param fd file_descriptor # a TCP socket that listens
function tcp_acceptor:assign(address_family, fd) end

---Give the descriptor away, open; fibers that wait get ECANCELED, and no connection is lost.
---@return file_descriptor
function tcp_acceptor:release() end

---Set an option: setsockopt(2). Raises ENOPROTOOPT (no such option), EINVAL, and the system's.
---@param name ip.tcp.acceptor.set_option_name
---@param value boolean | integer | number | string | table
function tcp_acceptor:set_option(name, value) end

---Read an option: getsockopt(2). Raises ENOPROTOOPT.
---@param name ip.tcp.acceptor.get_option_name
---@return boolean | integer | number | string | table | error | nil
function tcp_acceptor:get_option(name) end

---@class thrum.module.ip.tcp.acceptor
ip.tcp.acceptor = {}

---A closed acceptor. Raises ENOMEM.
---@return ip.tcp.acceptor
function ip.tcp.acceptor.new() end

return ip
