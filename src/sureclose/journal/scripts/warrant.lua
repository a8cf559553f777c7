-- KEYS: warrant, authority events, intent stream. ARGV: plan id, time to live in ms, count of fields and values of the
-- event, each, then the fields and values of the intent. The intent's entry id, or nothing when the warrant exists.
must_be(KEYS[2], 'stream')
must_be(KEYS[3], 'stream')
if not redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2]) then
  return ''
end
local size = tonumber(ARGV[3])
local event = { KEYS[2], '*' }
for index = 4, size + 3 do
  event[#event + 1] = ARGV[index]
end
redis.call('XADD', unpack(event))
local intent = { KEYS[3], '*' }
for index = size + 4, #ARGV do
  intent[#intent + 1] = ARGV[index]
end
return redis.call('XADD', unpack(intent))
