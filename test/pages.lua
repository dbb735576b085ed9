-- SPDX-License-Identifier: BSL-1.0
-- The gate between code and pages: nothing undocumented, nothing documented that is not there.
--
--     thrum pages.lua [--self-test] doc/man lua/meta include/thrum src/net/option.c
--
-- What a page promises is read from its source, by these conventions:
--   :subject: and :self:       in its head: its modules and classes, and what objects are called
--   :header:                   in its head: its C header
--   === name(args) -> results  in FUNCTIONS: a function, a method (self:name), an operator
--   *name* ...::               in PROPERTIES, CONSTANTS, MODULES, OPTIONS, ERRORS: an entry
-- It is compared with the live modules and metatables, with the annotations of lua/meta, and with
-- the rows and prototypes of the C sources.
local thrum = require "thrum"

-- ---- small things ----

local problems

local function complain(format, ...)
    problems[#problems + 1] = format:format(...)
end

local function sorted_keys(set)
    local keys = {}
    for key in pairs(set) do
        keys[#keys + 1] = key
    end
    table.sort(keys)
    return keys
end

-- Complain about each key that is in one set only.
local function compare(what, there, where_there, written, where_written)
    for _, key in ipairs(sorted_keys(there)) do
        if not written[key] then
            complain("%s: '%s' is in %s and not in %s", what, key, where_there, where_written)
        end
    end
    for _, key in ipairs(sorted_keys(written)) do
        if not there[key] then
            complain("%s: '%s' is in %s and not in %s", what, key, where_written, where_there)
        end
    end
end

local function one_line(text)
    return (text:gsub("%s+", " "):gsub("^ ", ""):gsub(" $", ""))
end

-- ---- reading the tree ----

local function read_file(path)
    local file = assert(io.open(path, "rb"))
    local text = file:read("a")
    file:close()
    return text
end

-- The files of a folder whose names end so: name without that ending -> text.
local function read_folder(folder, ending)
    local texts = {}
    local list = assert(io.popen(("ls '%s'"):format(folder)))
    for name in list:lines() do
        if #name > #ending and name:sub(-#ending) == ending then
            texts[name:sub(1, -#ending - 1)] = read_file(folder .. "/" .. name)
        end
    end
    list:close()
    assert(next(texts), "no files in " .. folder)
    return texts
end

local function read_world(man, meta, include, option)
    local world = {
        pages = read_folder(man, ".adoc"),
        shared = read_folder(man .. "/include", ".adoc"),
        meta = read_folder(meta, ".lua"),
        headers = read_folder(include, ".h"),
        option = read_file(option),
    }
    for name, text in pairs(read_folder(meta .. "/thrum", ".lua")) do
        world.meta["thrum/" .. name] = text
    end
    return world
end

-- ---- the live side ----

local function fields_behind(index)
    if type(index) == "table" then
        return index
    elseif type(index) == "function" then
        local _, fields = debug.getupvalue(index, 2)
        return type(fields) == "table" and fields or {}
    end
    return {}
end

-- A class of a module written in Lua: a table of methods whose `meta` is its objects' metatable.
local function is_lua_class(value)
    local meta = type(value) == "table" and rawget(value, "meta")
    return type(meta) == "table" and type(rawget(meta, "__name")) == "string"
end

-- The objects of the module socket have a metatable for each state of each kind; on its page and in
-- its annotations they are one class.
local function class_name(name)
    return name:find "^%l+{%l+}$" and "socket.object" or name
end

-- Tables of functions that are no modules.
local is_plain_table = { ["socket.sourcet"] = true, ["socket.sinkt"] = true }

local function has_items(index)
    return type(index) == "function" and debug.getupvalue(index, 3) ~= nil
end

local function kind_of(value)
    local kind = type(value)
    if is_lua_class(value) then
        return "class"
    end
    return (kind == "function" or kind == "table") and kind or "value"
end

-- name -> "function", "table", "class" or "value", of a module's table and what its metatable adds.
local function module_members(module)
    local members = {}
    local metatable = debug.getmetatable(module)
    for _, fields in ipairs { module, metatable and fields_behind(metatable.__index) } do
        for name, value in next, fields do
            members[name] = kind_of(value)
        end
    end
    return members
end

-- The modules reachable from the package: path -> members. And the classes written in Lua.
local function live_modules()
    local modules, lua_classes = {}, {}
    local function walk(path, module)
        local members = module_members(module)
        modules[path] = members
        for name, kind in pairs(members) do
            local inner = path == "thrum" and name or path .. "." .. name
            if is_plain_table[inner] then
                members[name] = "value"
            elseif kind == "table" then
                walk(inner, module[name])
            elseif kind == "class" then
                lua_classes[#lua_classes + 1] = module[name]
            end
        end
    end
    for name, value in pairs(thrum) do
        assert(type(value) == "function" or rawget(thrum, name) ~= nil,
            "pairs has not loaded " .. name)
    end
    walk("thrum", thrum)
    return modules, lua_classes
end

local function provoke(f, ...)
    local ok, err = pcall(f, ...)
    assert(not ok, "an error was to be raised")
    return err
end

-- The fields of error objects are in no table of the class: collect them from errors of each sort.
local function live_error_fields()
    local ip, byte_span = thrum.ip, thrum.byte_span
    local sock = ip.udp.socket.new()
    sock:open("v4")
    sock:bind("127.0.0.1", 0)
    sock:send_to("too long", sock.local_address, sock.local_port)
    local local_sock = thrum.unix.datagram.socket.new()
    local_sock:open()
    local errors = {
        provoke(local_sock.bind, local_sock, "/nowhere/at/all"),
        provoke(sock.receive_from, sock, byte_span.new(1)),
        provoke(sock.open, sock, "v4"),
        provoke(sock.bind, sock, 1),
    }
    sock:close()
    local_sock:close()
    local fields = {}
    for _, err in ipairs(errors) do
        for name in pairs(err) do
            fields[name] = "property"
        end
    end
    return fields
end

local operators = {
    __tostring = "tostring(%s)",
    __len = "#%s",
    __eq = "%s == other",
    __concat = "%s .. other",
    __lt = "%s < other",
    __le = "%s <= other",
}

local function class_operators(metatable)
    local list = {}
    for name, format in pairs(operators) do
        if rawget(metatable, name) then
            list[#list + 1] = format
        end
    end
    if has_items(metatable.__index) then
        list[#list + 1] = "%s[i]"
    end
    return list
end

local function lua_class(class)
    local members = {}
    for name, value in next, class do
        if name ~= "meta" then
            members[name] = type(value) == "function" and "function" or "property"
        end
    end
    return { members = members, operators = class_operators(class.meta) }
end

-- The classes: name -> {members = name -> "function" or "property", operators = list of formats}.
local function live_classes(lua_classes)
    local classes = {}
    for _, class in ipairs(lua_classes) do
        classes[class.meta.__name] = lua_class(class)
    end
    for key, metatable in pairs(debug.getregistry()) do
        local is_class = type(key) == "userdata" and type(metatable) == "table"
        if is_class and rawget(metatable, "__name") and next(fields_behind(metatable.__index)) then
            local subject = class_name(metatable.__name)
            local class = classes[subject] or { members = {} }
            for name, value in next, fields_behind(metatable.__index) do
                class.members[name] = type(value) == "function" and "function" or "property"
            end
            class.operators = class_operators(metatable)
            classes[subject] = class
        end
    end
    for name, kind in pairs(live_error_fields()) do
        classes.error.members[name] = kind
    end
    classes.error.members.cause = "property" -- of the error that ends a run, so none is at hand
    return classes
end

-- ---- reading a page ----

local function words(text)
    local list = {}
    for word in (text or ""):gmatch("%S+") do
        list[#list + 1] = word
    end
    return list
end

local function expand_shared(world, text)
    return (text:gsub("include::include/([%w_]+)%.adoc%[%]", world.shared))
end

-- The page's sections: title -> lines.
local function split_sections(text)
    local sections, lines = {}, nil
    for line in (text .. "\n"):gmatch("(.-)\n") do
        local title = line:match("^== (.+)$")
        if title then
            lines = {}
            sections[title] = lines
        elseif lines then
            lines[#lines + 1] = line
        end
    end
    return sections
end

-- Headings of a section with the text below each.
local function each_heading(lines)
    local headings = {}
    for _, line in ipairs(lines or {}) do
        local title = line:match("^=== (.+)$")
        if title then
            headings[#headings + 1] = { title = title:gsub("\\", ""), text = "" }
        elseif #headings > 0 then
            local last = headings[#headings]
            last.text = last.text .. line .. "\n"
        end
    end
    return headings
end

-- Terms of a section's definition lists, as they are written.
local function each_term(lines)
    local terms = {}
    for _, line in ipairs(lines or {}) do
        local term = line:match("^(%*.+)::$")
        if term then
            terms[#terms + 1] = term
        end
    end
    return terms
end

-- "sock:send(buffer[, flags]) -> n" is "sock:send("; operators stay as they are.
local function heading_key(title)
    return title:match("^tostring%(%w+%)") or title:match("^[%w_.:]+%(") or title
end

local function read_page(world, name)
    local source = world.pages[name]
    local page = {
        name = name,
        subjects = words(source:match("\n:subject: ([^\n]+)")),
        selves = words(source:match("\n:self: ([^\n]+)")),
        header = source:match("\n:header: ([^\n]+)"),
        source = source,
        sections = split_sections(expand_shared(world, source)),
        raw = split_sections(source),
        keys = {},
        suspends = {},
    }
    for _, heading in ipairs(each_heading(page.raw.FUNCTIONS)) do
        local key = heading_key(heading.title)
        if page.keys[key] and not page.header then
            complain("%s: '%s' is documented twice", name, key)
        end
        page.keys[key] = true
        page.suspends[key] = heading.text:find("_Suspends", 1, true) ~= nil
    end
    for _, section in ipairs { "PROPERTIES", "CONSTANTS", "MODULES" } do
        for _, term in ipairs(each_term(page.raw[section])) do
            page.keys[term:match("^%*([^*]+)%*")] = true
        end
    end
    return page
end

local function read_pages(world)
    local pages = {}
    for name in pairs(world.pages) do
        pages[name] = read_page(world, name)
    end
    return pages
end

-- ---- pages and the live side ----

local function add_module_keys(keys, path, members)
    for name, kind in pairs(members) do
        if kind == "function" then
            keys[path .. "." .. name .. "("] = true
        elseif kind == "value" or path == "thrum" then
            keys[path .. "." .. name] = true
        end
    end
end

local function add_class_keys(keys, self, class)
    for name, kind in pairs(class.members) do
        keys[kind == "function" and self .. ":" .. name .. "(" or self .. "." .. name] = true
    end
    for _, format in ipairs(class.operators) do
        keys[format:format(self)] = true
    end
end

-- The names of generic_error stand in one paragraph.
local function read_posix_names(page)
    local names = {}
    for _, line in ipairs(page.raw.CONSTANTS or {}) do
        for name in line:gmatch("E[%u%d]+") do
            names[name] = true
        end
    end
    return names
end

-- The prelude's globals are documented under their short names.
local globals_of = {
    ["fiber.3thrum"] = { "spawn" },
    ["scope.3thrum"] = {
        "scope", "scope_cleanup_push", "scope_cleanup_pop", "pcall", "xpcall",
    },
}

local function check_lua_page(page, modules, classes, seen)
    local there = {}
    for i, subject in ipairs(page.subjects) do
        seen[subject] = true
        if not modules[subject] and not classes[subject] and not globals_of[page.name] then
            complain("%s: nothing live is called '%s'", page.name, subject)
        end
        if subject == "generic_error" then
            compare(page.name, modules[subject], "the module", read_posix_names(page), "CONSTANTS")
        elseif modules[subject] then
            add_module_keys(there, subject, modules[subject])
        end
        if classes[subject] then
            add_class_keys(there, page.selves[i] or "?", classes[subject])
        end
    end
    for _, name in ipairs(globals_of[page.name] or {}) do
        there[name .. "("] = type(rawget(_G, name)) == "function" or nil
    end
    compare(page.name, there, "the code", page.keys, "the page")
end

local function check_lua_pages(pages, modules, classes)
    local seen = {}
    for _, name in ipairs(sorted_keys(pages)) do
        if name:find("%.3thrum$") then
            check_lua_page(pages[name], modules, classes, seen)
        end
    end
    for subject in pairs(classes) do
        if not seen[subject] then
            complain("the class '%s' has no page", subject)
        end
    end
    for subject, members in pairs(modules) do
        local has_more = false
        for _, kind in pairs(members) do
            has_more = has_more or kind ~= "table"
        end
        if has_more and not seen[subject] then
            complain("the module '%s' has no page", subject)
        end
    end
end

-- ---- annotations ----

-- class -> {members = set of names, async = set of names}; and the global functions.
local function read_meta(world)
    local classes, globals = {}, {}
    for _, text in pairs(world.meta) do
        local variables, class, is_async = {}, nil, false
        for line in text:gmatch("[^\n]+") do
            local name = line:match("^%-%-%-@class ([%w_.]+)")
            local field = line:match("^%-%-%-@field ([%w_]+)%??%s")
            local variable = line:match("^local ([%w_]+) = {}$") or line:match("^([%w_.]+) = {}$")
            local owner, method = line:match("^function ([%w_.]+)[.:]([%w_]+)%(")
            if name then
                class = { members = {}, async = {} }
                classes[name] = class
            elseif field and class then
                class.members[field] = true
            elseif line == "---@async" then
                is_async = true
            elseif variable then
                variables[variable] = class
            elseif owner and variables[owner] then
                variables[owner].members[method] = true
                variables[owner].async[method] = is_async or nil
                is_async = false
            elseif line:find("^function ") then
                globals[line:match("^function ([%w_.]+)")] = true
                is_async = false
            end
        end
    end
    return classes, globals
end

local function check_meta(world, pages, modules, classes)
    local annotated, globals = read_meta(world)
    local expected = {}
    for subject, class in pairs(classes) do
        expected[subject] = class.members
    end
    for path, members in pairs(modules) do
        expected[path == "thrum" and "thrum.module" or "thrum.module." .. path] = members
    end
    compare("lua/meta", expected, "the code", annotated, "lua/meta")
    for name, members in pairs(expected) do
        local found = annotated[name]
        if found then
            compare("lua/meta, " .. name, members, "the code", found.members, "lua/meta")
        end
    end
    for _, names in pairs(globals_of) do
        for _, name in ipairs(names) do
            if not globals[name] then
                complain("lua/meta: the global '%s' is not there", name)
            end
        end
    end
    for path in pairs(modules) do
        if path ~= "thrum" and not path:find("%.") and not world.meta["thrum/" .. path] then
            complain("lua/meta: there is no file for require 'thrum.%s'", path)
        end
    end
    return annotated, pages
end

-- A function that may suspend is marked so on its page and in its annotation.
local function check_async(pages, annotated)
    for _, name in ipairs(sorted_keys(pages)) do
        local page = pages[name]
        local owners = {}
        for i, subject in ipairs(page.subjects) do
            owners[subject] = annotated["thrum.module." .. subject]
            if page.selves[i] then
                owners[page.selves[i]] = annotated[subject]
            end
        end
        for key, suspends in pairs(page.suspends) do
            local owner, method = key:match("^([%w_.]+)[.:]([%w_]+)%($")
            local class = owner and owners[owner]
            if class and suspends ~= (class.async[method] or false) then
                complain("%s: '%s' suspends by one of page and lua/meta only", name, key)
            end
        end
    end
end

-- ---- options ----

local function read_choices(text, name)
    local list = {}
    local body = text:match(name .. "%[%] = (%b{})") or ""
    for choice in body:gmatch('{"([%w_]+)"') do
        list[#list + 1] = '"' .. choice .. '"'
    end
    local last = table.remove(list)
    return table.concat(list, ", ") .. " or " .. tostring(last)
end

local function option_type(text, shape, minimum, maximum, choices)
    if shape == "INTEGER" then
        return maximum == "INT_MAX" and ("integer %s or more"):format(minimum)
            or ("integer %s to %s"):format(minimum, maximum)
    elseif shape == "UNSIGNED" then
        return "integer 0 to 4294967295"
    elseif shape == "STRING" then
        return ("string of at most %s bytes"):format(maximum == "IF_NAMESIZE - 1" and 15 or maximum)
    elseif shape == "CHOICE" then
        return read_choices(text, choices)
    elseif shape == "LINGER" then
        return "{boolean, seconds}"
    end
    return shape == "ERROR" and "error or nil" or shape:lower()
end

-- The rows of option.c, and the traits that each asks for.
local function read_option_rows(text)
    local rows = {}
    local table_text = text:match("option_row rows%[%] = (%b{})") or ""
    local pattern = '{"([%w_]+)",%s*OPTION_(%u+),%s*OPTION_([%u_]+),%s*([%u_| ]+),'
        .. "%s*(%w+)%(([^)]*)%),%s*([%w_ %-]+),%s*([%w_ %-]+),%s*([%w_]+)}"
    for name, shape, access, traits, macro, system, low, high, choices in
        table_text:gmatch(pattern)
    do
        local row = ("*%s*: %s; %s; %s; %s"):format(name,
            option_type(text, shape, low, high, choices),
            access == "GET_SET" and "get, set" or access:lower(),
            macro == "V6" and "v6" or "v4, v6", one_line(system))
        rows[#rows + 1] = { name = name, access = access, traits = traits, text = row }
    end
    assert(select(2, table_text:gsub('{"', "")) == #rows, "a row could not be read")
    return rows
end

-- Which rows the classes have, and where their names are annotated.
local option_classes = {
    { page = "^ip%.udp%.socket", traits = "TRAITS_ANY TRAIT_IP TRAITS_UDP",
        meta = "ip", alias = "ip.udp.socket." },
    { page = "^ip%.tcp%.socket", traits = "TRAITS_ANY TRAIT_IP TRAITS_TCP TRAITS_TCP_SOCKET",
        meta = "ip", alias = "ip.tcp.socket." },
    { page = "^ip%.tcp%.acceptor", traits = "TRAITS_ANY TRAIT_IP TRAITS_TCP TRAITS_TCP_ACCEPTOR",
        meta = "ip", alias = "ip.tcp.acceptor." },
    { page = "^unix%.", traits = "TRAITS_ANY", meta = "unix", alias = "unix." },
}

-- The rows of a class as its page writes them (there are no families for unix sockets), and its
-- names.
local function options_of(rows, class)
    local written, names = {}, {}
    for _, row in ipairs(rows) do
        if (class.traits .. " "):find(row.traits .. " ", 1, true) then
            local text = class.meta == "unix" and row.text:gsub("; v4, v6;", ";") or row.text
            written[text] = true
            names[row.name] = row.access
        end
    end
    return written, names
end

-- The names behind an alias of the annotations.
local function read_alias(text, alias)
    local names = {}
    local body = text:match("@alias " .. alias:gsub("%p", "%%%0") .. "\n(.-)\n\n") or ""
    for name in body:gmatch('%-%-%-| "([%w_]+)"') do
        names[name] = true
    end
    return names
end

local function written_options(lines)
    local written = {}
    for _, term in ipairs(each_term(lines)) do
        written[term] = true
    end
    return written
end

local function check_option_names(names, meta, prefix)
    for _, access in ipairs { "GET", "SET" } do
        local there = {}
        for name, how in pairs(names) do
            there[name] = how:find(access, 1, true) and true or nil
        end
        local alias = prefix .. access:lower() .. "_option_name"
        compare(alias, there, "option.c", read_alias(meta, alias), "lua/meta")
    end
end

local function check_options(world, pages)
    local rows = read_option_rows(world.option)
    for _, class in ipairs(option_classes) do
        local wanted, names = options_of(rows, class)
        for name, page in pairs(pages) do
            if name:find(class.page) and page.sections.OPTIONS then
                local written = written_options(page.sections.OPTIONS)
                compare("options of " .. name, wanted, "option.c", written, "the page")
            end
        end
        check_option_names(names, world.meta[class.meta], class.alias)
    end
end

-- ---- the C API ----

-- However it is broken into lines.
local function normalize(prototype)
    return (one_line(prototype):gsub("%( ", "("):gsub("%* ", "*"))
end

local function read_prototypes(text)
    local prototypes = {}
    text = text:gsub("/%*.-%*/", "")
    for prototype in text:gmatch("THRUM_API%s+([^;{]-);") do
        prototypes[normalize((prototype:gsub("THRUM_NOEXCEPT", "")))] = true
    end
    return prototypes
end

local function read_synopsis(page)
    local prototypes = {}
    local text = "\n" .. table.concat(page.raw.SYNOPSIS or {}, "\n")
    for prototype in text:gmatch("\n(%l[%w_ *]*[ *][%w_]+%([^;{}]*%));") do
        if not prototype:find("^typedef") then
            prototypes[normalize(prototype)] = true
        end
    end
    return prototypes
end

local function function_names(prototypes)
    local names = {}
    for prototype in pairs(prototypes) do
        names[prototype:match("([%w_]+)%(")] = true
    end
    return names
end

local function check_c_page(page, text)
    local prototypes = read_prototypes(text)
    compare(page.name, prototypes, "the header", read_synopsis(page), "SYNOPSIS")
    local described = {}
    for _, term in ipairs(each_term(page.raw.FUNCTIONS)) do
        for name in term:gmatch("%*([%w_]+)%*") do
            described[name] = true
        end
    end
    compare(page.name, function_names(prototypes), "the header", described, "FUNCTIONS")
end

local function check_c_pages(world, pages)
    local by_header = {}
    for name, page in pairs(pages) do
        if page.header then
            by_header[page.header] = page
        elseif name:find("%.3$") then
            complain("%s: names no header", name)
        end
    end
    for name, text in pairs(world.headers) do
        if next(read_prototypes(text)) and not by_header[name] then
            complain("%s.h has no page", name)
        end
    end
    for name, page in pairs(by_header) do
        check_c_page(page, world.headers[name] or "")
    end
end

-- ---- errors ----

-- The conditions of error.h, written as the page writes them; and their names.
local function read_conditions(text)
    local rows, names = {}, {}
    local pattern = 'ROW%(([%u_]+), THRUM_ERROR_(%u+), (%d+), "([%w_]+)",%s*"([^"]+)"%)'
    for constant, category, code, name, message in text:gsub("\\\n", " "):gmatch(pattern) do
        local row = "*%s* (%s, %s, %s): %s"
        rows[row:format(name, category:lower(), code, constant, message)] = true
        names[name] = true
    end
    assert(next(rows), "no conditions in error.h")
    return rows, names
end

local function check_errors(world, pages, modules)
    local rows, names = read_conditions(world.headers.error)
    for _, name in ipairs { "error.3thrum", "thrum_error.3" } do
        local written = {}
        for _, term in ipairs(each_term(pages[name].sections.CONDITIONS)) do
            written[term] = true
        end
        compare(name, rows, "error.h", written, "CONDITIONS")
    end
    for _, name in ipairs(sorted_keys(pages)) do
        for _, term in ipairs(each_term(pages[name].sections.ERRORS)) do
            local code = term:match("^%*([^*]+)%*$")
            if not code or not (names[code] or modules.generic_error[code]) then
                complain("%s: ERRORS has '%s', which is no error", name, term)
            end
        end
    end
end

-- ---- the pages among themselves ----

local wanted = {
    ["3thrum"] = { "NAME", "SYNOPSIS", "DESCRIPTION", "ERRORS", "EXAMPLES", "SEE ALSO" },
    ["3"] = { "NAME", "SYNOPSIS", "DESCRIPTION", "FUNCTIONS", "EXAMPLES", "SEE ALSO" },
    ["1"] = { "NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS", "EXIT STATUS", "SEE ALSO" },
    ["7"] = { "NAME", "DESCRIPTION", "SEE ALSO" },
}

local function check_form(pages)
    local names_lines = {}
    for _, name in ipairs(sorted_keys(pages)) do
        local page = pages[name]
        local title, section = name:match("^(.+)%.(%w+)$")
        if not page.source:find(("\n= %s(%s)\n"):format(title, section), 1, true) then
            complain("%s: its title is not %s(%s)", name, title, section)
        end
        for _, heading in ipairs(wanted[section] or {}) do
            if not page.sections[heading] then
                complain("%s: has no section %s", name, heading)
            end
        end
        local line = one_line(table.concat(page.raw.NAME or {}, " "))
        local topic, purpose = line:match("^(%S+) %- (.+)$")
        if topic ~= title then
            complain("%s: NAME is about '%s'", name, tostring(topic))
        elseif names_lines[purpose] then
            complain("%s: NAME says what %s says", name, names_lines[purpose])
        end
        names_lines[purpose or ""] = name
    end
end

-- *name*(section): ours has to be there.
local function check_links(world, pages)
    for _, name in ipairs(sorted_keys(pages)) do
        local text = expand_shared(world, world.pages[name])
        for target, section in text:gmatch("%*([%w_.]+)%*%((%w+)%)") do
            local is_ours = section == "3thrum" or target:find("^thrum")
            if is_ours and not pages[target .. "." .. section] then
                complain("%s: refers to %s(%s), which is not there", name, target, section)
            end
        end
    end
end

local function check_all(world)
    problems = {}
    local modules, lua_classes = live_modules()
    local classes = live_classes(lua_classes)
    local pages = read_pages(world)
    check_form(pages)
    check_links(world, pages)
    check_lua_pages(pages, modules, classes)
    local annotated = check_meta(world, pages, modules, classes)
    check_async(pages, annotated)
    check_options(world, pages)
    check_c_pages(world, pages)
    check_errors(world, pages, modules)
    return problems
end

-- ---- the gate's own test: spoil one thing, and it has to be seen ----

local spoilers = {
    { "a method that is not documented", "pages", "ip.udp.socket.3thrum",
        "=== sock:cancel()", "", "'sock:cancel(' is in the code" },
    { "a method that is not there", "pages", "byte_span.3thrum",
        "=== span:hex", "=== span:octal", "'span:octal(' is in the page" },
    { "a property that is not documented", "pages", "ip.address.3thrum",
        "*addr.is_v4* ->", "*addr.is_v5* ->", "'addr.is_v4' is in the code" },
    { "an operator that is not documented", "pages", "byte_span.3thrum",
        "=== #span", "", "'#span' is in the code" },
    { "a method written in Lua that is not documented", "pages", "emitter.3thrum",
        "=== em:once(", "=== em:twice(", "'em:once(' is in the code" },
    { "a field of errors that is not documented", "pages", "error.3thrum",
        "*err.length*", "*err.size*", "'err.length' is in the code" },
    { "an option of another type", "pages", "ip.udp.socket.3thrum",
        "*multicast_hops*: integer 0 to 255;", "*multicast_hops*: integer 0 to 64;",
        "multicast_hops" },
    { "an option that has no entry", "option", nil,
        '{"debug",', '{"bugle",', "bugle" },
    { "an option missing from lua/meta", "meta", "ip",
        '---| "mark" # Extension. integer', "---", "'mark' is in option.c" },
    { "an option of unix sockets of another type", "shared", "unix_options",
        "*debug*: boolean;", "*debug*: integer;", "options of unix.stream.socket" },
    { "an option of unix sockets missing from lua/meta", "meta", "unix",
        '---| "error" # Extension. error or nil', "---", "'error' is in option.c" },
    { "an option of TCP that the page of its acceptor lacks", "pages", "ip.tcp.acceptor.3thrum",
        "*defer_accept*: integer 0 or more;", "*defer_accept*: integer;",
        "options of ip.tcp.acceptor" },
    { "an option of acceptors missing from lua/meta", "meta", "ip",
        '---| "defer_accept" #', "---", "'defer_accept' is in option.c" },
    { "a POSIX name that is not there", "pages", "generic_error.3thrum",
        "EXDEV", "EXTRA", "'EXTRA' is in CONSTANTS" },
    { "a prototype that differs", "headers", "socket",
        "thrum_socket_shutdown(thrum_socket *socket, int how)",
        "thrum_socket_shutdown(thrum_socket *socket, unsigned how)", "unsigned how" },
    { "a C function without description", "pages", "thrum_timer.3",
        "*thrum_timer_free*::", "", "'thrum_timer_free' is in the header" },
    { "a condition with another code", "shared", "own_errors",
        "(misc, 2, THRUM_EEOF)", "(misc, 7, THRUM_EEOF)", "misc, 7" },
    { "an error nobody knows", "pages", "time.3thrum",
        "*ENOMEM*::", "*ENOTHING*::", "ENOTHING" },
    { "an annotation without a function", "meta", "time",
        "function time.sleep(", "function time.snooze(", "'snooze' is in lua/meta" },
    { "an annotation that forgets to be async", "meta", "ip",
        "---@async", "---", "suspends by one" },
    { "a link to nowhere", "pages", "time.3thrum",
        "*fiber*(3thrum)", "*fibre*(3thrum)", "fibre" },
    { "two pages with one NAME", "pages", "ip.network.3thrum",
        "a block of addresses, and whether an address lies in it",
        "an IPv4 or IPv6 address: an immutable value that works as a table key", "NAME says" },
    { "a page without its sections", "pages", "fiber.3thrum",
        "== SEE ALSO", "== SEE", "SEE ALSO" },
}

local function replace_once(text, from, to)
    local first, last = text:find(from, 1, true)
    assert(first, "the self-test finds nothing to spoil: " .. from)
    return text:sub(1, first - 1) .. to .. text:sub(last + 1)
end

local function spoil(world, kind, name, from, to)
    local spoilt = {}
    for key, value in pairs(world) do
        spoilt[key] = value
    end
    if name then
        spoilt[kind] = {}
        for key, value in pairs(world[kind]) do
            spoilt[kind][key] = value
        end
        spoilt[kind][name] = replace_once(world[kind][name], from, to)
    else
        spoilt[kind] = replace_once(world[kind], from, to)
    end
    return spoilt
end

local function self_test(world)
    local failed = 0
    for _, spoiler in ipairs(spoilers) do
        local what, kind, name, from, to, expected = table.unpack(spoiler, 1, 6)
        local found = table.concat(check_all(spoil(world, kind, name, from, to)), "\n")
        local is_seen = found:find(expected, 1, true) ~= nil
        print((is_seen and "ok     " or "not ok ") .. "sees " .. what)
        failed = failed + (is_seen and 0 or 1)
    end
    return failed
end

local function report(list)
    for _, problem in ipairs(list) do
        print("not ok " .. problem)
    end
    print(#list == 0 and "ok     pages, annotations and code agree" or #list .. " problems")
    return #list
end

local args = { ... }
local is_self_test = args[1] == "--self-test"
if is_self_test then
    table.remove(args, 1)
end
local world = read_world(table.unpack(args, 1, 4))
local failures = report(check_all(world))
if is_self_test and failures == 0 then
    failures = self_test(world)
end
if failures > 0 then
    os.exit(1, true)
end
