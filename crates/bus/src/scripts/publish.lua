-- Sequences, keeps and pushes one group of one room.
-- ARGV after the common four: 5 node incarnation, 6 group number, 7 PUBLISH or SPUBLISH,
-- 8 channel, 9 entries to keep, 10 entries to keep whatever their age, 11 age ms, 12 ttl ms,
-- 13 key window ms, 14 keys of one owner in it, 15 keys of all, 16 messages per second
-- (0: no limit), 17 bounds of the room's state (empty: it has none); then per item: payload,
-- fingerprint and owner, a zero byte and key (or empty), condition "epoch:seq" (or empty), with "*"
-- before it where the limit of 16 does not hold, and with 17 what it does to the state.
-- Answers "group epoch time first result,result,…": a… = so many in a row, the next seqs from
-- first on; k… = stored before, epoch:seq:time; c = key used with another payload; o = too many
-- keys; r… = above the limit, for so many ms; s… = the room stands at this seq; m = the state is
-- full; v… = the value of the state's key has this seq; j… = so many seqs belong to no item.

local FIRST = 18
-- Keys are counted in so many steps of the window.
local STEPS = 8
-- Where every lineage begins.
local START = '0000000000000000:0'
local node, group, channel = 'g:' .. ARGV[5], tonumber(ARGV[6]), ARGV[8]
local age, ttl, window = tonumber(ARGV[11]), ARGV[12], tonumber(ARGV[13])
local now = clock()
-- The id of the last entry stored by this call, and its time: a failure before that has stored
-- nothing of the group.
local stored, when
local memory, state

-- What remembers keys, made where the group has the first one: most groups have none. A
-- generation holds the keys of one window and stays for another, so that none is forgotten in its
-- own. In it, "#" and an owner, or "#" alone for the room, is a record of how many keys were used
-- when: "step:count,step:count,…", the newest first. The group's own are written at its end.
local function make_memory(epoch)
  local step = math.ceil(window / STEPS)
  local current = math.floor(now / step)
  local known = redis.call('HMGET', KEYS[1], 'results', 'turned')
  local number, turned = tonumber(known[1] or 0), tonumber(known[2])
  local turn = not turned or now - turned >= window
  if turn then
    number = number + 1
  end
  local generation = 3 + number % 2
  -- By field: what the group adds, and the tallies of the owners it met and of the room.
  local fresh, tallies = {}, {}

  -- What is counted of an owner or the room. Only steps that began within the window count, so
  -- that no key is refused too early.
  local function tally(field, records)
    local sum = 0
    for _, record in pairs(records) do
      for at, keys in string.gmatch(record, '(%d+):(%d+)') do
        if tonumber(at) <= current - STEPS then
          break
        end
        sum = sum + tonumber(keys)
      end
    end
    local record = not turn and records[generation] or ''
    tallies[field] = { sum = sum, more = 0, record = record }
  end

  -- The result known under a key, or nil; then the owner's tally is there.
  local function find(print, owner, scope)
    local values, of_owner, of_room = { fresh[scope] }, '#' .. owner, '#'
    if values[1] then
      -- Of this group.
    elseif tallies[of_owner] then
      values = { redis.call('HGET', KEYS[3], scope), redis.call('HGET', KEYS[4], scope) }
    else
      local one = redis.call('HMGET', KEYS[3], scope, of_owner, of_room)
      local other = redis.call('HMGET', KEYS[4], scope, of_owner, of_room)
      values = { one[1], other[1] }
      tally(of_owner, { [3] = one[2] or nil, [4] = other[2] or nil })
      if not tallies[of_room] then
        tally(of_room, { [3] = one[3] or nil, [4] = other[3] or nil })
      end
    end
    for _, value in ipairs(values) do
      local fingerprint, at, where = string.match(value or '', '^(%x+) (%d+) (.+)$')
      if at and tonumber(at) > now - window then
        return fingerprint == print and 'k' .. where .. ':' .. at or 'c'
      end
    end
  end

  -- Whether the key that was not found may be used. Those of an API key ("=") have only the room's
  -- bound.
  local function admits(owner)
    local is_bounded = string.sub(owner, 1, 1) ~= '='
    return (not is_bounded or tallies['#' .. owner].sum < tonumber(ARGV[14]))
      and tallies['#'].sum < tonumber(ARGV[15])
  end

  local function remember(print, owner, scope, id)
    fresh[scope] = print .. ' ' .. when .. ' ' .. epoch .. ':' .. id
    for _, field in ipairs({ '#' .. owner, '#' }) do
      local counted = tallies[field]
      counted.sum, counted.more = counted.sum + 1, counted.more + 1
    end
  end

  local function keep()
    local fields = {}
    for scope, value in pairs(fresh) do
      fields[#fields + 1], fields[#fields + 2] = scope, value
    end
    if #fields == 0 then
      return
    end
    for field, counted in pairs(tallies) do
      if counted.more > 0 then
        local _, last, at, keys = string.find(counted.record, '^(%d+):(%d+)')
        local older, total = counted.record, counted.more
        if at and tonumber(at) == current then
          older, total = string.sub(older, last + 2), total + tonumber(keys)
        end
        fields[#fields + 1] = field
        fields[#fields + 1] = text(current) .. ':' .. text(total)
          .. (older == '' and '' or ',' .. older)
      end
    end
    if turn then
      redis.call('HSET', KEYS[1], 'results', text(number), 'turned', text(now))
      redis.call('UNLINK', KEYS[generation])
    end
    redis.call('HSET', KEYS[generation], unpack(fields))
    if turn then
      -- In a cluster a room's keys live as long as the room.
      redis.call('PEXPIRE', KEYS[generation], ARGV[1] == '0' and ttl or text(2 * window))
    end
  end

  return { find = find, admits = admits, remember = remember, keep = keep }
end

-- Counts the messages that the limit holds for, as a bucket which drains by the rate: "rate time
-- level" in meta, the level in thousandths of a message, so that whole numbers are exact. It is made
-- where a message needs it, and holds one second's worth.
local function make_meter(rate)
  local known = redis.call('HGET', KEYS[1], 'rate') or ''
  local of, at, level = string.match(known, '^(%d+) (%d+) (%d+)$')
  local taken, most = 0, rate * 1000
  if of and tonumber(of) == rate then
    local passed = math.min(math.max(now - tonumber(at), 0), 1000)
    level = math.max(tonumber(level) - passed * rate, 0)
  else
    level = 0
  end

  -- Counts one message, or answers how many ms to wait.
  local function take()
    if level + 1000 > most then
      return math.ceil((level + 1000 - most) / rate)
    end
    level, taken = level + 1000, taken + 1
  end

  local function keep()
    -- A time to come is another server's clock: the bucket would not drain until then.
    if taken > 0 or tonumber(at or 0) > now then
      redis.call('HSET', KEYS[1], 'rate', text(rate) .. ' ' .. text(now) .. ' ' .. text(level))
    end
  end

  return { take = take, keep = keep }
end

local function publish()
  local m =
    redis.call('HMGET', KEYS[1], 'epoch', 'seq', 'time', 'life', 'fresh', 'ttl', 'aged', node, 'state')
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
    m[9] = ''
  elseif m[4] ~= ARGV[3] then
    local old = epoch
    epoch, seq = adopt(m[4], epoch, seq)
    if epoch ~= old then
      m[9] = redis.call('HGET', KEYS[1], 'state')
    end
  end
  local time = math.max(now, tonumber(m[3] or 0))
  when = text(time)

  local before, pushed, results, row = seq, {}, {}, 0
  local rate, meter = tonumber(ARGV[16]), nil
  local stride = 3
  if ARGV[17] ~= '' then
    state, stride = make_state(m[9], ARGV[17], now), 4
  end

  local function end_row()
    if row > 0 then
      results[#results + 1] = 'a' .. row
      row = 0
    end
  end

  local function append(payload, is_last)
    seq = seq + 1
    local id = text(seq)
    if is_last then
      redis.call('XADD', KEYS[2], 'MAXLEN', '~', ARGV[9], id .. '-0', 't', when, 'd', payload)
    else
      redis.call('XADD', KEYS[2], id .. '-0', 't', when, 'd', payload)
    end
    stored = id
    pushed[#pushed + 1] = payload
    return id
  end

  -- What an item does to the state, or nil and its result. Where the state is full, what has
  -- expired is removed first, by messages of its own.
  local function judge_state(item)
    local change, refused = state.judge(item, epoch, seq)
    while refused == 'm' and state.may_scan() do
      local expired = state.expired()
      if #expired > 0 then
        end_row()
        for _, removal in ipairs(expired) do
          state.apply(removal, append(removal.payload, false), when, removal.payload)
        end
        results[#results + 1] = 'j' .. #expired
      end
      change, refused = state.judge(item, epoch, seq)
    end
    return change, refused
  end

  for item = FIRST, #ARGV, stride do
    local payload, key, condition = ARGV[item], ARGV[item + 1], ARGV[item + 2]
    local print, owner, scope, result, change
    local is_limited = rate > 0
    if is_limited and string.sub(condition, 1, 1) == '*' then
      is_limited, condition = false, string.sub(condition, 2)
    end
    if key ~= '' then
      memory = memory or make_memory(epoch)
      print, scope = string.sub(key, 1, 16), string.sub(key, 17)
      owner = string.match(scope, '^%Z+')
      result = memory.find(print, owner, scope)
    end
    if result then
      -- Stored before, or in conflict.
    elseif condition ~= '' and condition ~= epoch .. ':' .. text(seq)
      and not (seq == 0 and condition == START) then
      result = 's' .. text(seq)
    elseif key ~= '' and not memory.admits(owner) then
      result = 'o'
    end
    if state and ARGV[item + 3] ~= '' and not result then
      change, result = judge_state(ARGV[item + 3])
    end
    if is_limited and not result then
      meter = meter or make_meter(rate)
      local wait = meter.take()
      result = wait and 'r' .. text(wait)
    end
    if result then
      end_row()
      results[#results + 1] = result
    else
      local id = append(payload, item + stride > #ARGV)
      if change then
        state.apply(change, id, when, payload)
      end
      if key ~= '' then
        memory.remember(print, owner, scope, id)
      end
      row = row + 1
    end
  end
  end_row()
  if memory then
    memory.keep()
  end
  if meter then
    meter.keep()
  end

  local head = epoch .. ' ' .. when .. ' ' .. text(before + 1)
  local answer = ARGV[6] .. ' ' .. head .. ' ' .. table.concat(results, ',')
  local changed = state and state.field()
  if changed then
    redis.call('HSET', KEYS[1], 'state', changed)
  end
  if stored then
    redis.call('HSET', KEYS[1], 'seq', stored, 'time', when, node, answer)
    redis.call(ARGV[7], channel, 'M ' .. head .. '\n' .. table.concat(pushed))
  else
    redis.call('HSET', KEYS[1], node, answer)
  end

  -- Often enough that a message is kept for its age, whenever it came.
  local spare = tonumber(ttl) - age
  local is_begun = before == 0 or not m[5] or (state and (m[9] or '') == '')
  if is_begun or m[6] ~= ttl or now - tonumber(m[5]) > spare / 4 then
    live_on(ttl, now, state ~= nil or (m[9] or '') ~= '')
  end

  -- A node that published here for the first time: forget those that are long gone.
  if not m[8] and redis.call('HLEN', KEYS[1]) > 64 then
    local all = redis.call('HGETALL', KEYS[1])
    for at = 1, #all, 2 do
      if string.sub(all[at], 1, 2) == 'g:' then
        local told = string.match(all[at + 1], '^%d+ %x+ (%d+)')
        if tonumber(told or 0) < now - 60000 then
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
end

local done, answer = pcall(publish)
if done then
  return answer
elseif not stored then
  return redis.error_reply(reason(answer))
end
-- Entries are there, and perhaps were not pushed: the room goes on after them, and the group has no
-- answer under its number any more. Nodes find the entries as they find a lost push, and retries
-- the keys.
if memory then
  pcall(memory.keep)
end
local changed = state and state.field()
if changed then
  redis.pcall('HSET', KEYS[1], 'state', changed)
end
redis.pcall('HSET', KEYS[1], 'seq', stored, 'time', when, node, ARGV[6] .. ' failed')
return redis.error_reply('ROOMCASTPARTIAL ' .. reason(answer))
