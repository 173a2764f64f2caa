-- Keeps, looks at or takes the record of one ticket.
-- KEYS: 1 the ticket's key. ARGV after the common two: 3 "keep", "look" or "take"; to keep 4 the
-- record and 5 its life in ms.
-- Answers the record, or false where there is none; to "keep" what SET answers: a ticket that is
-- there already stays as it is.

if ARGV[3] == 'keep' then
  return redis.call('SET', KEYS[1], ARGV[4], 'PX', ARGV[5], 'NX')
end
local record = redis.call('GET', KEYS[1])
if record and ARGV[3] == 'take' then
  redis.call('UNLINK', KEYS[1])
end
return record
