-- The rooms of one partition in which one incarnation may have members.
-- KEYS: 1 a sorted set, room -> number of the call before which it was added; "" with 0: the
-- incarnation is dead, and adds no more.
-- ARGV after the common two: 3 "add", "found" or "remove", then room, number, …; "dead", then how
-- many rooms to skip and to answer; "drop", then room, …
-- "add" answers {"dead"} where that is so; "found" adds all the same, for others to clear the room.
-- "remove" keeps what was added under a higher number. "dead" answers the rooms.

local DEAD_KEPT_MS, KEPT_MS = 3600000, 7200000
local what = ARGV[3]
if what == 'add' or what == 'found' then
  if what == 'add' and redis.call('ZSCORE', KEYS[1], '') then
    return { 'dead' }
  end
  for at = 4, #ARGV, 2 do
    redis.call('ZADD', KEYS[1], 'GT', ARGV[at + 1], ARGV[at])
  end
  redis.call('PEXPIRE', KEYS[1], text(KEPT_MS))
elseif what == 'remove' then
  for at = 4, #ARGV, 2 do
    local number = tonumber(redis.call('ZSCORE', KEYS[1], ARGV[at]) or 0)
    if number > 0 and number <= tonumber(ARGV[at + 1]) then
      redis.call('ZREM', KEYS[1], ARGV[at])
    end
  end
elseif what == 'dead' then
  redis.call('ZADD', KEYS[1], '0', '')
  local is_more = redis.call('ZCARD', KEYS[1]) > 1
  redis.call('PEXPIRE', KEYS[1], text(is_more and KEPT_MS or DEAD_KEPT_MS))
  local from = tonumber(ARGV[4]) + 1
  return redis.call('ZRANGE', KEYS[1], text(from), text(from + tonumber(ARGV[5]) - 1))
else
  for at = 4, #ARGV do
    redis.call('ZREM', KEYS[1], ARGV[at])
  end
end
return { 'ok' }
