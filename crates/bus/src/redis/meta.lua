-- The common part of the scripts: a room's keys and where it stands.
-- KEYS: 1 meta (hash), 2 stream, 3 and 4 results of keyed publishes (two generations).
-- The first write of any path is one that Redis refuses when out of memory, so that a refused
-- call has changed nothing.

-- Whole numbers only; they are below 2^53.
local function text(number)
  return string.format('%d', number)
end

local function clock()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

-- Begins a room that Redis does not know; what a lost room left behind goes.
local function begin(life, epoch)
  redis.call('HSET', KEYS[1], 'epoch', epoch, 'seq', '0', 'time', '0', 'life', life,
    'ancestors', '')
  redis.call('UNLINK', KEYS[2], KEYS[3], KEYS[4])
end

-- The caller and the room name different lives. If the room's is not this server's, the room
-- goes on in a new epoch that remembers where it parted; else the caller is behind.
local function fork(known, life, epoch, seq, candidate)
  local here = string.match(redis.call('INFO', 'replication'), 'master_replid:(%w+)') or life
  if here == known then
    return epoch
  end
  local ancestors = { epoch .. ':' .. text(seq) }
  local older = redis.call('HGET', KEYS[1], 'ancestors') or ''
  for ancestor in string.gmatch(older, '[^,]+') do
    table.insert(ancestors, #ancestors, ancestor)
  end
  while #ancestors > 16 do
    table.remove(ancestors, 1)
  end
  redis.call('HSET', KEYS[1], 'epoch', candidate, 'life', here,
    'ancestors', table.concat(ancestors, ','))
  return candidate
end

local function live_on(ttl, now)
  redis.call('HSET', KEYS[1], 'fresh', text(now), 'ttl', ttl)
  redis.call('PEXPIRE', KEYS[1], ttl)
  redis.call('PEXPIRE', KEYS[2], ttl)
end

