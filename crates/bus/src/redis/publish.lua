-- Sequences, keeps and pushes one group of one room.
-- ARGV after the common four: 5 node incarnation, 6 group number, 7 PUBLISH or SPUBLISH,
-- 8 channel, 9 entries to keep, 10 entries to keep whatever their age, 11 age ms, 12 ttl ms,
-- 13 key window ms, 14 keys per generation; then per item: payload, fingerprint and key (or
-- empty), condition "epoch:seq" (or empty).
-- Answers "group epoch time first result,result,…": a = the next seq from first; k… = stored
-- before, epoch:seq:time; c = key used with another payload; s… = the room stands at this seq.

local FIRST = 15
local node, group, channel = 'g:' .. ARGV[5], tonumber(ARGV[6]), ARGV[8]
local age, ttl, window = tonumber(ARGV[11]), ARGV[12], tonumber(ARGV[13])
local now = clock()

local m = redis.call('HMGET', KEYS[1], 'epoch', 'seq', 'time', 'life', 'fresh', 'ttl', 'aged', node)
if m[8] then
  local known = tonumber(string.match(m[8], '^%d+'))
  if known == group then
    -- Written again as it is: a WAIT that follows then waits for what was written before.
    redis.call('HSET', KEYS[1], node, m[8])
    return m[8]
  elseif known > group then
    return 'stale'
  end
end

local epoch, seq = m[1], tonumber(m[2] or 0)
if not epoch then
  epoch = ARGV[4]
  begin(ARGV[3], epoch)
elseif m[4] ~= ARGV[3] then
  epoch, seq = fork(m[4], epoch, seq)
end
local time = math.max(now, tonumber(m[3] or 0))
local when = text(time)

-- Made where the group has the first key: most groups have none.
local find, remember
local function make_memory()
  find = function(print, scope)
    for generation = 3, 4 do
      local value = redis.call('HGET', KEYS[generation], scope)
      if value then
        local known, at, where = string.match(value, '^(%x+) (%d+) (.+)$')
        if tonumber(at) > now - window then
          return known == print and 'k' .. where .. ':' .. at or 'c'
        end
      end
    end
  end
  remember = function(print, scope, id)
    local known = redis.call('HMGET', KEYS[1], 'results', 'turned')
    local number = tonumber(known[1] or 0)
    local results = KEYS[3 + number % 2]
    local turn = not known[2] or now - tonumber(known[2]) >= window
      or redis.call('HLEN', results) >= tonumber(ARGV[14])
    if turn then
      number = number + 1
      results = KEYS[3 + number % 2]
      redis.call('HSET', KEYS[1], 'results', text(number), 'turned', text(now))
      redis.call('UNLINK', results)
    end
    redis.call('HSET', results, scope, print .. ' ' .. when .. ' ' .. epoch .. ':' .. id)
    if turn then
      -- In a cluster a room's keys live as long as the room.
      redis.call('PEXPIRE', results, ARGV[1] == '0' and ttl or text(2 * window))
    end
  end
end

local before, pushed, results, id = seq, {}, {}, nil
for item = FIRST, #ARGV, 3 do
  local payload, key, condition = ARGV[item], ARGV[item + 1], ARGV[item + 2]
  local print, scope, known
  if key ~= '' then
    if not find then
      make_memory()
    end
    print, scope = string.sub(key, 1, 16), string.sub(key, 17)
    known = find(print, scope)
  end
  if known then
    results[#results + 1] = known
  elseif condition ~= '' and condition ~= epoch .. ':' .. text(seq) then
    results[#results + 1] = 's' .. text(seq)
  else
    seq = seq + 1
    id = text(seq)
    if item + 3 > #ARGV then
      redis.call('XADD', KEYS[2], 'MAXLEN', '~', ARGV[9], id .. '-0', 't', when, 'd', payload)
    else
      redis.call('XADD', KEYS[2], id .. '-0', 't', when, 'd', payload)
    end
    if key ~= '' then
      remember(print, scope, id)
    end
    pushed[#pushed + 1] = payload
    results[#results + 1] = 'a'
  end
end

local head = epoch .. ' ' .. when .. ' ' .. text(before + 1)
local answer = ARGV[6] .. ' ' .. head .. ' ' .. table.concat(results, ',')
if #pushed > 0 then
  redis.call('HSET', KEYS[1], 'seq', id, 'time', when, node, answer)
  redis.call(ARGV[7], channel, head .. '\n' .. table.concat(pushed))
else
  redis.call('HSET', KEYS[1], node, answer)
end

if before == 0 or not m[5] or m[6] ~= ttl or now - tonumber(m[5]) > tonumber(ttl) / 4 then
  live_on(ttl, now)
end

-- A node that published here for the first time: forget those that are long gone.
if not m[8] and redis.call('HLEN', KEYS[1]) > 64 then
  local all = redis.call('HGETALL', KEYS[1])
  for at = 1, #all, 2 do
    if string.sub(all[at], 1, 2) == 'g:' then
      local told = string.match(all[at + 1], '^%d+ %x+ (%d+)')
      if tonumber(told) < now - 60000 then
        redis.call('HDEL', KEYS[1], all[at])
      end
    end
  end
end

-- Now and then drop what is too old, but never what nodes may need for repair.
if now - tonumber(m[7] or 0) >= math.max(1000, age / 16) then
  local floor, cut = seq - tonumber(ARGV[10]), nil
  for _, entry in ipairs(redis.call('XRANGE', KEYS[2], '-', '+', 'COUNT', 256)) do
    local number = tonumber(string.match(entry[1], '^%d+'))
    if number > floor or tonumber(entry[2][2]) > now - age then
      break
    end
    cut = number + 1
  end
  if cut then
    redis.call('XTRIM', KEYS[2], 'MINID', text(cut) .. '-0')
  end
  redis.call('HSET', KEYS[1], 'aged', text(now))
end

return answer
