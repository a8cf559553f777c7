-- KEYS: grant, freeze, authority events. ARGV: wanted state (GRANT or FREEZE), count of grant fields and values, each,
-- then the fields and values of the event. What is recorded already stays. Returns FREEZE, GRANT or the component.
if redis.call('EXISTS', KEYS[2]) == 1 then
  return 'FREEZE'
end
local component = redis.call('HGET', KEYS[1], 'component')
if component then
  return component
end
must_be(KEYS[3], 'stream')
local size = tonumber(ARGV[2])
local record_fields = {}
for index = 1, size do
  record_fields[index] = ARGV[index + 2]
end
redis.call('HSET', ARGV[1] == 'GRANT' and KEYS[1] or KEYS[2], unpack(record_fields))
local add = { KEYS[3], '*' }
for index = size + 3, #ARGV do
  add[#add + 1] = ARGV[index]
end
redis.call('XADD', unpack(add))
return ARGV[1]
