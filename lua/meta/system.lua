-- SPDX-License-Identifier: BSL-1.0
---@meta system
-- luacheck: ignore

---This process: system(3thrum). Any other field raises EINVAL.
---@class thrum.module.system
---@field arguments string[] # the program, the script, the script's arguments
---@field environment { [string]: string } # a copy, read only; walk it with `pairs`
---@field signal thrum.module.system.signal
system = {}

---A standard descriptor of a child; nil: /dev/null.
---@alias thrum.stdio file_descriptor | "share"

---What a child gets; any other field raises EINVAL. `program` is looked up in PATH unless it has a
---slash; `arguments` are all of them, its name first; without `environment` it is this process's;
---`extra_fds` go by their numbers in the child, 3 or more.
---@alias thrum.spawn_options { program: string, arguments?: string[], environment?: { [string]: string }, working_directory?: string, stdin?: thrum.stdio, stdout?: thrum.stdio, stderr?: thrum.stdio, extra_fds?: { [integer]: file_descriptor } }

---Start a program in a child process, which gets these descriptors and no other. Raises EINVAL, what
---execve(2) and chdir(2) say, EBADF, EBUSY, EAGAIN, EMFILE.
---@param options thrum.spawn_options
---@return system.process
function system.spawn(options) end

---Extension. Take a descriptor that this process was started with. Raises EINVAL, EBADF, EBUSY.
---@param n integer
---@return file_descriptor
function system.inherited_fd(n) end

---Extension. Take what a service manager hands over: sd_listen_fds(3). Once: then it is empty. Raises
---EINVAL, EBADF, EBUSY.
---@return { fd: file_descriptor, name: string }[]
function system.listen_fds() end

---Send a signal to one process: kill(2). Raises EINVAL, ESRCH, EPERM.
---@param pid integer # 1 or more: no groups
---@param signal integer | string # 0: only ask whether it is there
function system.kill(pid, signal) end

---getpid(2).
---@return integer
function system.getpid() end

---Extension. getppid(2).
---@return integer
function system.getppid() end

---Extension. Bytes that nobody can guess: getrandom(2). Raises EINVAL.
---@param n integer # 0 to 1,048,576
---@return string
function system.random_bytes(n) end

---End the process: finalizers run, fibers and cleanup handlers do not. Raises EINVAL.
---@param code? integer # 0 to 255, 0 by default
function system.exit(code) end

---A child process: system.process(3thrum). It is reaped whether or not anybody waits for it.
---@class system.process
---@field pid integer # also after its end
local process = {}

---How a process has ended: with a code, or by a signal.
---@alias thrum.exit_status { exited: boolean, code?: integer, signal?: integer }

---Wait for its end; any number of times. Suspends. Raises ECHILD.
---@async
---@return thrum.exit_status
function process:wait() end

---Send it a signal. Never reaches another process. Raises EINVAL, ESRCH, EPERM.
---@param signal integer | string # not 0
function process:kill(signal) end

---A set of signals to wait for: system.signal(3thrum), boost::asio::signal_set. They are caught until
---the last set that has them lets go; then their disposition is the default.
---@class system.signal.set
local set = {}

---Add a signal; one that is there already stays. Raises EINVAL, also for SIGKILL and SIGSTOP.
---@param signal integer | string
function set:add(signal) end

---Remove a signal and what is queued of it. Raises EINVAL.
---@param signal integer | string
function set:remove(signal) end

---Remove all signals.
function set:clear() end

---End all waits with ECANCELED; signals, and what is queued, stay.
function set:cancel() end

---Wait for a notification, which ends all waits of the set. Suspends. Raises ECANCELED.
---@async
---@return integer number
---@return string name # Extension. "SIGTERM"
function set:wait() end

---The signals of POSIX that the system has, by name. Any other field raises EINVAL.
---@class thrum.module.system.signal
---@field set thrum.module.system.signal.set
---@field SIGABRT integer
---@field SIGALRM integer
---@field SIGBUS integer
---@field SIGCHLD integer
---@field SIGCONT integer
---@field SIGFPE integer
---@field SIGHUP integer
---@field SIGILL integer
---@field SIGINT integer
---@field SIGKILL integer
---@field SIGPIPE integer
---@field SIGPOLL integer
---@field SIGPROF integer
---@field SIGQUIT integer
---@field SIGRTMAX integer
---@field SIGRTMIN integer
---@field SIGSEGV integer
---@field SIGSTOP integer
---@field SIGSYS integer
---@field SIGTERM integer
---@field SIGTRAP integer
---@field SIGTSTP integer
---@field SIGTTIN integer
---@field SIGTTOU integer
---@field SIGURG integer
---@field SIGUSR1 integer
---@field SIGUSR2 integer
---@field SIGVTALRM integer
---@field SIGWINCH integer
---@field SIGXCPU integer
---@field SIGXFSZ integer
system.signal = {}

---@class thrum.module.system.signal.set
system.signal.set = {}

---A set with these signals; if one is refused, none is caught. Raises EINVAL, EMFILE, ENOMEM.
---@param ... integer | string # 15, system.signal.SIGTERM, "SIGTERM"
---@return system.signal.set
function system.signal.set.new(...) end

return system
