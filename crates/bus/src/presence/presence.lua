-- Changes who is in one room, in one step: members of one incarnation come, show themselves and go.
-- KEYS: 1 the room's presence, a hash: "e" epoch, "s" number of the last change, "r" rev,
-- "n" memberships, "u" users, "l" life, "p" the parting "epoch:change" that the epoch grew from,
-- "q" 1 while only numbers are pushed, "o" "mode most grace", "i" incarnations "id call members time
-- behind;…" (call "dead": the incarnation is dead here; behind 1: it lacks what the node wrote),
-- "c:" incarnation connection -> a connection: status, then "u" and its user, or "-" and its info;
-- "u:" user -> "connections away leaving status info" (leaving: the time at which its grace ends, or
-- 0).
-- ARGV after the common two: 3 life, 4 epoch to begin with, 5 "live": a call of a living node, "all":
-- one that begins to write all of its members again,
-- "dead": the incarnation is dead here from now on, "due": graces may be over; 6 incarnation,
-- 7 number of the call ("live") or time of the last advance ("dead"), 8 the number of the last call
-- that the caller knows the room to have, 9 the incarnation that this
-- one replaces (or empty), 10 "events", "counts" or empty: as before, 11 memberships up to which
-- events are pushed, 12 grace ms, 13 PUBLISH or SPUBLISH, 14 channel; then per item: what
-- ("p" with info to show, "k" without, each with "a" or "w" for active or away; "xe" ended, "xl"
-- left, "d" grace over), connection, user (or empty), info (or empty).
-- Answers {"ok", epoch, change, rev, memberships, users, now, joined, left, infos, statuses,
-- behind, user, leaving, …} with the users of this call whose grace runs, or {"dead"}, or {"stale"}:
-- a later call came first.

local FIRST = 15
local EMPTY_KEPT_MS, DEAD_KEPT_MS, KEPT_MS = 600000, 3600000, 7200000
local kind, own, old, now = ARGV[5], ARGV[6], ARGV[9], clock()
local is_all = kind == 'all'
kind = is_all and 'live' or kind

local head = redis.call('HMGET', KEYS[1], 'e', 's', 'r', 'n', 'u', 'l', 'p', 'q', 'o', 'i')
local epoch, life, parting, quiet = head[1], head[6], head[7], head[8] == '1'
local change, rev = tonumber(head[2] or 0), tonumber(head[3] or 0)
local count, users = tonumber(head[4] or 0), tonumber(head[5] or 0)
local policy, listed = head[9] or 'counts 0 0', head[10] or ''
if epoch and life ~= ARGV[3] then
  local kin, here = kinship(life)
  if kin == 'gone' then
    redis.call('UNLINK', KEYS[1])
    epoch = false
  elseif kin == 'renamed' then
    life = here
  elseif kin == 'parted' then
    parting, epoch, life = epoch .. ':' .. text(change), ARGV[4], here
  end
end
if not epoch then
  if kind == 'due' then
    return { 'ok', ARGV[4], '0', '0', '0', '0', text(now), '0', '0', '0', '0', '0' }
  end
  epoch, life, parting, quiet, policy, listed = ARGV[4], ARGV[3], '', false, 'counts 0 0', ''
  change, rev, count, users = 0, 0, 0, 0
end

local begun = text(count) .. ' ' .. text(users)
local nodes = {}
for id, call, members, at, behind in string.gmatch(listed, '(%x+) (%w+) (%d+) (%d+) (%d);') do
  nodes[id] = { call = call, members = tonumber(members), at = tonumber(at), behind = behind }
end
local mine = nodes[own] or { call = '0', members = 0, at = now, behind = '0' }
if kind == 'live' then
  if mine.call == 'dead' then
    return { 'dead' }
  elseif tonumber(mine.call) >= tonumber(ARGV[7]) then
    return { 'stale' }
  end
  if ARGV[8] == '0' and mine.members > 0 then
    -- The caller knows of no call of its own: these members are of one that it undid.
    mine.behind = '1'
  elseif is_all and mine.call == ARGV[8] then
    mine.behind = '0'
  elseif tonumber(mine.call) < tonumber(ARGV[8]) then
    mine.behind = '1'
  end
  mine.call, mine.at, nodes[own] = ARGV[7], now, mine
elseif kind == 'dead' then
  if mine.call ~= 'dead' then
    mine.call, mine.at = 'dead', now
  end
  nodes[own] = mine
end
if ARGV[10] ~= '' then
  policy = ARGV[10] .. ' ' .. ARGV[11] .. ' ' .. ARGV[12]
end
local mode, most, grace = string.match(policy, '^(%a+) (%d+) (%d+)$')
most, grace = tonumber(most), tonumber(grace)
local grace_begins = kind == 'dead' and tonumber(ARGV[7]) or now

-- What the items name, read at once. A value is false where there is none; what is changed is
-- written at the end.
local seats, people, changed = {}, {}, {}
local function parse_person(value)
  local connections, away, leaving, status, at =
    string.match(value or '', '^(%d+) (%d+) (%d+) (%a) ()')
  return connections and { connections = tonumber(connections), away = tonumber(away),
    leaving = tonumber(leaving), status = status, info = string.sub(value, at) } or false
end
do
  local fields, known = {}, {}
  local function want(field)
    if not known[field] then
      known[field], fields[#fields + 1] = true, field
    end
  end
  for at = FIRST, #ARGV, 4 do
    if ARGV[at + 1] ~= '' then
      want('c:' .. own .. ARGV[at + 1])
      if old ~= '' then
        want('c:' .. old .. ARGV[at + 1])
      end
    end
    if ARGV[at + 2] ~= '' then
      want('u:' .. ARGV[at + 2])
    end
  end
  for from = 1, #fields, 1000 do
    local to = math.min(from + 999, #fields)
    local values = redis.call('HMGET', KEYS[1], unpack(fields, from, to))
    for at = from, to do
      local field, value = fields[at], values[at - from + 1]
      if string.sub(field, 1, 2) == 'u:' then
        people[string.sub(field, 3)] = parse_person(value)
      else
        seats[field] = value
      end
    end
  end
end
local function person_of(user)
  if people[user] == nil then
    people[user] = parse_person(redis.call('HGET', KEYS[1], 'u:' .. user))
  end
  return people[user]
end
local function set_seat(field, value)
  seats[field], changed[field] = value, true
end
local function set_person(user, person)
  people[user], changed['u:' .. user] = person, true
end

-- The steps to push, and what the last one said of the numbers.
local steps, said, graces = {}, begun, {}
local joined, left, infos, statuses = 0, 0, 0, 0
local function step(word, name, info)
  said = text(count) .. ' ' .. text(users)
  steps[#steps + 1] = word .. ' ' .. text(rev) .. ' ' .. said .. ' ' .. text(#name) .. ' '
    .. text(#info) .. '\n' .. name .. info
end

local function remove_person(user, person)
  set_person(user, false)
  users, rev, left = users - 1, rev + 1, left + 1
  step('L', user, person.info)
end

-- Shows what changed of a user that was there and stays.
local function show(user, person, info)
  local status = person.away == person.connections and 'w' or 'a'
  local is_status, is_info = status ~= person.status, info and info ~= person.info
  person.status, person.info = status, info or person.info
  set_person(user, person)
  if is_status or is_info then
    rev = rev + 1
    infos, statuses = infos + (is_info and 1 or 0), statuses + (is_status and 1 or 0)
    step('S' .. status, user, person.info)
  end
end

local function go(field, node, value, how)
  set_seat(field, false)
  node.members, count = node.members - 1, count - 1
  if string.sub(value, 2, 2) ~= 'u' then
    return
  end
  local user = string.sub(value, 3)
  local person = person_of(user)
  if not person then
    return
  end
  person.connections = person.connections - 1
  if string.sub(value, 1, 1) == 'w' then
    person.away = person.away - 1
  end
  if person.connections > 0 then
    show(user, person)
  elseif how == 'xl' or grace_begins + grace <= now then
    remove_person(user, person)
  else
    person.leaving = grace_begins + grace
    graces[user] = true
    set_person(user, person)
  end
end

local function come(what, connection, user, info)
  local field = 'c:' .. own .. connection
  local is_shown, status = string.sub(what, 1, 1) == 'p', string.sub(what, 2, 2)
  local value = seats[field]
  local before = old ~= '' and seats['c:' .. old .. connection]
  if before then
    local node = nodes[old] or { members = 0 }
    if value then
      go('c:' .. old .. connection, node, before, 'xl')
    else
      set_seat('c:' .. old .. connection, false)
      node.members, mine.members, value = node.members - 1, mine.members + 1, before
    end
  end
  local seat = user == '' and '-' or 'u' .. user
  if value and string.sub(value, 2, user == '' and 2 or -1) ~= seat then
    go(field, mine, value, 'xl')
    value = false
  end
  if user == '' then
    local shown = value and string.sub(value, 3) or ''
    if is_shown or not value then
      shown = info
    end
    local seated = status .. '-' .. shown
    if not value then
      mine.members, count = mine.members + 1, count + 1
    elseif value ~= seated then
      rev = rev + 1
      local is_info, is_status = string.sub(value, 3) ~= shown, string.sub(value, 1, 1) ~= status
      infos, statuses = infos + (is_info and 1 or 0), statuses + (is_status and 1 or 0)
      step('C' .. status, connection, shown)
    end
    return set_seat(field, seated)
  end
  set_seat(field, status .. seat)
  local person = person_of(user)
  if not value then
    mine.members, count = mine.members + 1, count + 1
  elseif person and string.sub(value, 1, 1) == 'w' then
    person.away = person.away - 1
  end
  if not person then
    users, rev, joined = users + 1, rev + 1, joined + 1
    set_person(user, { connections = 1, away = status == 'w' and 1 or 0, leaving = 0,
      status = status, info = info })
    return step('J', user, info)
  end
  person.connections = person.connections + (value and 0 or 1)
  person.away = person.away + (status == 'w' and 1 or 0)
  person.leaving = 0
  graces[user] = nil
  show(user, person, is_shown and info or nil)
end

for at = FIRST, #ARGV, 4 do
  local what, connection, user, info = ARGV[at], ARGV[at + 1], ARGV[at + 2], ARGV[at + 3]
  if what == 'd' then
    local person = person_of(user)
    if person and person.connections == 0 and person.leaving > now then
      graces[user] = true
    elseif person and person.connections == 0 then
      remove_person(user, person)
    end
  elseif what == 'xe' or what == 'xl' then
    for _, id in ipairs(old ~= '' and { own, old } or { own }) do
      local value = seats['c:' .. id .. connection]
      if value then
        go('c:' .. id .. connection, nodes[id] or mine, value, what)
      end
    end
    local person = user ~= '' and person_of(user)
    if person and person.connections == 0 then
      -- An earlier call with this item was done, and its answer may be lost.
      graces[user] = true
    end
  else
    come(what, connection, user, info)
  end
end

local was_quiet = quiet
if mode == 'counts' or count > most then
  quiet = true
elseif count * 10 < most * 8 then
  quiet = false
end
local is_changed = text(count) .. ' ' .. text(users) ~= begun or #steps > 0 or quiet ~= was_quiet
if is_changed then
  change = change + 1
end
listed = ''
for id, node in pairs(nodes) do
  local kept = node.call == 'dead' and DEAD_KEPT_MS or EMPTY_KEPT_MS
  if id == own or node.members > 0 or node.at > now - kept then
    listed = listed .. id .. ' ' .. node.call .. ' ' .. text(math.max(node.members, 0)) .. ' '
      .. text(node.at) .. ' ' .. node.behind .. ';'
  end
end

local written, gone = { 'e', epoch, 's', text(change), 'r', text(rev), 'n', text(count),
  'u', text(users), 'l', life, 'p', parting, 'q', quiet and '1' or '0', 'o', policy,
  'i', listed }, {}
for field in pairs(changed) do
  local value = seats[field]
  if string.sub(field, 1, 2) == 'u:' then
    local person = people[string.sub(field, 3)]
    value = person and text(person.connections) .. ' ' .. text(person.away) .. ' '
      .. text(person.leaving) .. ' ' .. person.status .. ' ' .. person.info
  end
  if value then
    written[#written + 1], written[#written + 2] = field, value
  else
    gone[#gone + 1] = field
  end
end
-- Redis refuses the first of these when out of memory: then nothing has changed.
for from = 1, #written, 1000 do
  redis.call('HSET', KEYS[1], unpack(written, from, math.min(from + 999, #written)))
end
for from = 1, #gone, 1000 do
  redis.call('HDEL', KEYS[1], unpack(gone, from, math.min(from + 999, #gone)))
end
local is_dead = string.find(listed, ' dead ', 1, true)
redis.call('PEXPIRE', KEYS[1],
  text((count > 0 or users > 0) and KEPT_MS or is_dead and DEAD_KEPT_MS or EMPTY_KEPT_MS))

if is_changed then
  local word = quiet and 'q' or was_quiet and 'b' or 's'
  if word ~= 's' then
    steps = {}
  elseif said ~= text(count) .. ' ' .. text(users) then
    step('N', '', '')
  end
  redis.call(ARGV[13], ARGV[14], 'p ' .. epoch .. ' ' .. (parting == '' and '-' or parting) .. ' '
    .. text(change) .. ' ' .. text(rev) .. ' ' .. text(count) .. ' ' .. text(users) .. ' '
    .. text(now) .. ' ' .. word .. '\n' .. table.concat(steps))
end
local answer = { 'ok', epoch, text(change), text(rev), text(count), text(users), text(now),
  text(joined), text(left), text(infos), text(statuses), mine.behind }
for user in pairs(graces) do
  local person = people[user]
  if person and person.connections == 0 then
    answer[#answer + 1], answer[#answer + 2] = user, text(person.leaving)
  end
end
return answer
