-- Advances the caller's lease and answers all of them, in one step.
-- KEYS: 1 leases (hash: incarnation -> "counter connections time", "dead:" incarnation ->
-- "counter last-advance time"; times in ms by Redis's clock).
-- ARGV after the common two: 3 incarnation, 4 its counter, 5 its connections.
-- Answers {"dead"} where the incarnation is marked, {"late"} where a later advance came before this
-- one, else {"ok", now, field, value, …}.
-- A missing entry is made: after a failover, or in an empty Redis, its owner brings it back.

local DEAD_MARK_MS, LEASES_MS = 3600000, 7200000
local mine, now = ARGV[3], clock()
if redis.call('HGET', KEYS[1], 'dead:' .. mine) then
  return { 'dead' }
end
local known = redis.call('HGET', KEYS[1], mine)
if known and tonumber(string.match(known, '^%d+')) >= tonumber(ARGV[4]) then
  return { 'late' }
end
redis.call('HSET', KEYS[1], mine, ARGV[4] .. ' ' .. ARGV[5] .. ' ' .. text(now))
redis.call('PEXPIRE', KEYS[1], LEASES_MS)
local answer = { 'ok', text(now) }
local all = redis.call('HGETALL', KEYS[1])
for at = 1, #all, 2 do
  local marked = string.sub(all[at], 1, 5) == 'dead:' and string.match(all[at + 1], '%d+$')
  if marked and tonumber(marked) < now - DEAD_MARK_MS then
    redis.call('HDEL', KEYS[1], all[at])
  else
    answer[#answer + 1], answer[#answer + 2] = all[at], all[at + 1]
  end
end
return answer
