-- SPDX-License-Identifier: BSL-1.0
---@meta emitter
-- luacheck: ignore

---Extension. Objects with events and listeners, as luvit's and Node's: emitter(3thrum).
---@class thrum.module.emitter
---@field Emitter emitter.Emitter # the class
emitter = {}

---@return emitter.Emitter
function emitter.new() end

---The class and its objects. A listener runs in the fiber that emits, and may suspend.
---@class emitter.Emitter
local em = {}

---On the class: an object of it, with its `initialize(...)` called. Raises EINVAL.
---@param ... any
---@return emitter.Emitter
function em:new(...) end

---On the class: one that inherits from it. Raises EINVAL.
---@return emitter.Emitter
function em:extend() end

---Call `listener` at each event of that name. Raises EINVAL.
---@param name any # but nil
---@param listener async fun(...): ...
---@return self
function em:on(name, listener) end

---The same.
---@param name any # but nil
---@param listener async fun(...): ...
---@return self
function em:addListener(name, listener) end

---The same for the next event only.
---@param name any # but nil
---@param listener async fun(...): ...
---@return self
function em:once(name, listener) end

---As `on`, before the listeners that are there.
---@param name any # but nil
---@param listener async fun(...): ...
---@return self
function em:prependListener(name, listener) end

---As `once`, before the listeners that are there.
---@param name any # but nil
---@param listener async fun(...): ...
---@return self
function em:prependOnceListener(name, listener) end

---Call the listeners. Raises what a listener raises, and an "error" without a listener.
---@param name any # but nil
---@param ... any
---@return self | false # false: there is no listener
function em:emit(name, ...) end

---Called by `emit` for an event without a listener: raises the error of an "error" event. To be replaced.
---@param name any
---@param ... any
function em:missingHandlerType(name, ...) end

---@param name any
---@return integer
function em:listenerCount(name) end

---@param name any
---@return function[]
function em:listeners(name) end

---@return any[] # the events that have listeners
function em:eventNames() end

---Take a listener off, or all of that event.
---@param name any # but nil
---@param listener? function
---@return integer? count # nil for none
function em:removeListener(name, listener) end

---The same.
---@param name any # but nil
---@param listener? function
---@return self
function em:off(name, listener) end

---@param name? any # nil: of all events
---@return self
function em:removeAllListeners(name) end

---Make a callback of the object's method: it emits "error" for its first argument, or else calls the
---method with the others. Raises EINVAL.
---@param name any # of a method
function em:wrap(name) end

---Emit on `target` what is emitted here. Raises EINVAL.
---@param name any # but nil
---@param target? emitter.Emitter # nil: nothing is done
---@return emitter.Emitter # the target, or the emitter without one
function em:propagate(name, target) end

return emitter
