-- KEYS: asked, intent stream, then of a person's wish: warrant, authority events.
-- ARGV: plan id, life of the record in ms, life of the warrant in ms (0 of a machine's wish), count of names and values of the
-- record, each, then those of the intent, then those of the event. The same wish again changes nothing, unless it is the first of
-- a person: then the warrant is added and the intent said again, which whoever knows the plan takes for a duplicate.
-- Returns a word, the intent's entry id, and the record.
local plan_id, warrant_ms = ARGV[1], tonumber(ARGV[3])
local function part(at)
  local size = tonumber(ARGV[at])
  local found = {}
  for offset = 1, size do
    found[offset] = ARGV[at + offset]
  end
  return found, at + size + 1
end
local record, behind = part(4)
local intent, last = part(behind)
must_be(KEYS[1], 'hash')
must_be(KEYS[2], 'stream')
if warrant_ms > 0 then
  must_be(KEYS[3], 'string')
  must_be(KEYS[4], 'stream')
end
local known = redis.call('HGETALL', KEYS[1])
local word = 'ASKED'
if #known > 0 then
  if redis.call('HGET', KEYS[1], 'plan_id') ~= plan_id then
    return { 'OTHER', '', known }
  end
  if warrant_ms == 0 or redis.call('HEXISTS', KEYS[1], 'warrant_at') == 1 then
    return { 'KNOWN', '', known }
  end
  word = 'WARRANTED'
end
if warrant_ms > 0 then
  local event = part(last)
  if not redis.call('SET', KEYS[3], plan_id, 'NX', 'PX', warrant_ms) then
    return { 'OTHER', '', known }
  end
  redis.call('XADD', KEYS[4], '*', unpack(event))
end
local entry_id = redis.call('XADD', KEYS[2], '*', unpack(intent))
if word == 'ASKED' then
  redis.call('HSET', KEYS[1], 'entry_id', entry_id, unpack(record))
end
if warrant_ms > 0 then
  redis.call('HSET', KEYS[1], 'warrant_at', now_ms())
end
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return { word, entry_id, redis.call('HGETALL', KEYS[1]) }
