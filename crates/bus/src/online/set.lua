-- Sets how many connections a user has on the caller's node, and judges a newcomer among them.
-- KEYS: 1 the user's hash (node -> "number time incarnation count named"; times in ms by Redis's
-- clock; named: for each connection whose client names itself 16 hex digits of a hash of the name
-- and 16 of the connection's id), 2 the leases (see advance.lua).
-- ARGV after the common two: 3 "set", "enter" or "look"; 4 the caller's node, 5 number of its state,
-- 6 its incarnation, 7 count, 8 named; with a newcomer, who is in that state, 9 connections that the
-- user may have, 10 the newcomer's id, 11 its client's hash (or empty), 12 "here" or "anywhere":
-- where it may replace connections of the same client.
-- Answers {"granted", node, connection, …} with the connections that are replaced and count no
-- longer, or {"full"}; then nothing is changed. A state that is older than the one here is not set,
-- and "look" sets none.

local DEAD_AFTER_MS, EMPTY_KEPT_MS, KEPT_MS = 10000, 60000, 86400000
local mode, own, now = ARGV[3], ARGV[4], clock()

-- All entries that count, and the names of those that do not: of a dead incarnation, or empty for
-- so long that no older state of theirs can be on its way.
local entries, spent, known = {}, {}, 0
local all = redis.call('HGETALL', KEYS[1])
for at = 1, #all, 2 do
  local number, time, incarnation, count, named =
    string.match(all[at + 1], '^(%d+) (%d+) (%x+) (%d+) (%x*)$')
  local age = now - tonumber(time or 0)
  if number and all[at] == own then
    known = tonumber(number)
  end
  if not number or (count == '0' and age > EMPTY_KEPT_MS) then
    spent[#spent + 1] = all[at]
  elseif all[at] ~= own and age > DEAD_AFTER_MS
    and not redis.call('HGET', KEYS[2], incarnation) then
    spent[#spent + 1] = all[at]
  else
    entries[all[at]] = { number = number, time = time, incarnation = incarnation,
      count = tonumber(count), named = named }
  end
end
local changed = {}
if tonumber(ARGV[5]) >= known then
  entries[own] = { number = ARGV[5], time = text(now), incarnation = ARGV[6],
    count = tonumber(ARGV[7]), named = ARGV[8] }
  changed[own] = true
end

local total = 0
for _, entry in pairs(entries) do
  total = total + entry.count
end

local answer = { 'granted' }
if mode ~= 'set' and total > tonumber(ARGV[9]) then
  local need, newcomer, client = total - tonumber(ARGV[9]), ARGV[10], ARGV[11]
  local function replace(node, entry)
    local kept = {}
    for at = 1, #entry.named, 32 do
      local id = string.sub(entry.named, at + 16, at + 31)
      if need > 0 and string.sub(entry.named, at, at + 15) == client and id ~= newcomer then
        need = need - 1
        entry.count = entry.count - 1
        answer[#answer + 1], answer[#answer + 2] = node, id
        changed[node] = true
      else
        kept[#kept + 1] = string.sub(entry.named, at, at + 31)
      end
    end
    entry.named = table.concat(kept)
  end
  if client ~= '' and entries[own] then
    replace(own, entries[own])
  end
  for node, entry in pairs(entries) do
    if client ~= '' and node ~= own and need > 0 and ARGV[12] == 'anywhere' then
      replace(node, entry)
    end
  end
  if need > 0 then
    return { 'full' }
  end
end
if mode == 'look' then
  return answer
end

total = 0
for node, entry in pairs(entries) do
  if changed[node] then
    redis.call('HSET', KEYS[1], node, entry.number .. ' ' .. entry.time .. ' ' .. entry.incarnation
      .. ' ' .. text(entry.count) .. ' ' .. entry.named)
  end
  total = total + entry.count
end
for _, node in ipairs(spent) do
  if not changed[node] then
    redis.call('HDEL', KEYS[1], node)
  end
end
redis.call('PEXPIRE', KEYS[1], text(total > 0 and KEPT_MS or EMPTY_KEPT_MS))
return answer
