-- Marks an incarnation as dead if its counter is still the one that its judge saw.
-- KEYS: 1 leases, as in advance.lua. ARGV after the common two: 3 incarnation, 4 counter.
-- Answers 1 where it is marked by this call, else 0.

local known = redis.call('HGET', KEYS[1], ARGV[3])
if not known or string.match(known, '^%d+') ~= ARGV[4] then
  return 0
end
redis.call('HSET', KEYS[1], 'dead:' .. ARGV[3],
  ARGV[4] .. ' ' .. string.match(known, '%d+$') .. ' ' .. text(clock()))
redis.call('HDEL', KEYS[1], ARGV[3])
return 1
