-- SPDX-License-Identifier: BSL-1.0
-- The whole API at once, at random: worlds of fibers that spawn, join and interrupt each other,
-- share mutexes, channels, timers, signals and sockets, and nest scopes, timeouts and coroutines;
-- each step is judged by what is known (stress/actor.lua), and so is what is left at the end.
--
-- The seed is printed first, and all random choices come from it. THRUM_SEED runs that seed alone,
-- THRUM_ROUNDS=1 its first world alone, and a failure says which; THRUM_ROUNDS=1000000 runs long.
local h, t = ...

local directory = debug.getinfo(1, "S").source:match("^@(.*/)") or "./"
local stress = {}
for _, name in ipairs {"Actor", "context", "fibers", "sync", "channels", "timers", "values",
    "sockets", "groups", "World"} do
    local file = directory .. "stress/" .. name:lower() .. ".lua"
    stress[name] = assert(loadfile(file))(h, stress)
end

-- The first set of signals opens Asio's pipe, which stays as long as the state.
h.thrum.system.signal.set.new()

local size = {
    n_first = h.is_slow and 5 or 10, -- actors at the beginning
    n_actors = h.is_slow and 12 or 40, -- in all
    n_steps = h.is_slow and 12 or 40, -- each
    n_pauses = h.is_slow and 2 or 6, -- how often nothing moves, before the end
    seconds = h.is_slow and 10 or 4,
    stuck_after = h.is_slow and 12 or 8, -- before somebody counts as stuck
}
local n_worlds = math.max(1, h.rounds // (h.is_slow and 30 or 250))

local function add_case(name, seed)
    t[("test %s, seed %d"):format(name, seed)] = function()
        for i = 0, n_worlds - 1 do
            h.not_hung()
            local world = stress.World.new(seed + i, size)
            h.describe = function()
                return world:describe()
            end
            world:run()
        end
        h.describe = nil
    end
end

local given = tonumber(os.getenv("THRUM_SEED"))
if given then
    print(("stress: seed %d"):format(given))
    add_case("the given seed", given)
else
    local seed = os.time() % 1000000 * 1000 + h.thrum.system.getpid() % 1000
    print(("stress: seeds 1000, 2000 and %d (THRUM_SEED=%d runs it again)"):format(seed, seed))
    add_case("a fixed seed", 1000)
    add_case("another fixed seed", 2000)
    add_case("today's seed", seed)
end
io.stdout:flush()
