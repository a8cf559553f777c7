-- KEYS: audits. ARGV: id of the audit, its record as JSON, how many are kept. The oldest of the others leave, by the time in
-- their records; what can't be read is older than all.
must_be(KEYS[1], 'hash')
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
local over = redis.call('HLEN', KEYS[1]) - tonumber(ARGV[3])
if over <= 0 then
  return 0
end
local found = {}
local all = redis.call('HGETALL', KEYS[1])
for index = 1, #all, 2 do
  if all[index] ~= ARGV[1] then
    local read, record = pcall(cjson.decode, all[index + 1])
    local at = read and type(record) == 'table' and tonumber(record.at) or 0
    found[#found + 1] = { all[index], at }
  end
end
table.sort(found, function(one, other)
  if one[2] == other[2] then
    return one[1] < other[1]
  end
  return one[2] < other[2]
end)
for index = 1, over do
  redis.call('HDEL', KEYS[1], found[index][1])
end
return over
