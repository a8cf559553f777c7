-- KEYS: freeze, authority events. ARGV: a count of fields and values of the record, each, then those of the event.
-- A freeze that stands already stays, under the new revision. 1 when it began now.
must_be(KEYS[1], 'hash')
must_be(KEYS[2], 'stream')
local size = tonumber(ARGV[1])
if redis.call('EXISTS', KEYS[1]) == 1 then
  for index = 2, size, 2 do
    if ARGV[index] == 'revision' then
      redis.call('HSET', KEYS[1], 'revision', ARGV[index + 1])
    end
  end
  return 0
end
redis.call('HSET', KEYS[1], unpack(ARGV, 2, size + 1))
redis.call('XADD', KEYS[2], '*', unpack(ARGV, size + 2))
return 1
