-- KEYS: entry stream, records of drains, then the stream of each event. ARGV: group, consumer, ids
-- (a count, then each, ascending), fields and values of the record (a count, then each), events (for each key from the
-- third on: a count of fields and values, then each).
-- Returns the ids that are not this consumer's any more; if there is one, nothing is written.
must_be(KEYS[1], 'stream')
must_be(KEYS[2], 'stream')
local ids = tonumber(ARGV[3])
local record = 4 + ids
local behind = record + 1 + tonumber(ARGV[record])
check_events(3, behind)
-- Asked before the first write, for what was recorded without being acknowledged would be recorded again.
if not redis.acl_check_cmd('XACK', KEYS[1], ARGV[1], '0-0') then
  error({ err = 'NOPERM no right to XACK ' .. KEYS[1] })
end
for index = 2, #KEYS do
  if not redis.acl_check_cmd('XADD', KEYS[index], '*', 'f', 'v') then
    error({ err = 'NOPERM no right to XADD ' .. KEYS[index] })
  end
end
if ids > 0 then
  local pending = redis.call('XPENDING', KEYS[1], ARGV[1], ARGV[4], ARGV[3 + ids], 1000000, ARGV[2])
  -- Nearly always they are the same, in the same order.
  local same = #pending == ids
  for index = 1, same and ids or 0 do
    if pending[index][1] ~= ARGV[3 + index] then
      same = false
      break
    end
  end
  if not same then
    local held, missing = {}, {}
    for index = 1, #pending do
      held[pending[index][1]] = true
    end
    for index = 4, 3 + ids do
      if not held[ARGV[index]] then
        missing[#missing + 1] = ARGV[index]
      end
    end
    if #missing > 0 then
      return missing
    end
  end
end
redis.call('XADD', KEYS[2], '*', unpack(ARGV, record + 1, behind - 1))
add_events(3, behind)
for first = 4, 3 + ids, 1000 do
  redis.call('XACK', KEYS[1], ARGV[1], unpack(ARGV, first, math.min(first + 999, 3 + ids)))
end
return {}
