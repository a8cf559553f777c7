-- KEYS: lease. ARGV: owner, epoch.
local holder = redis.call('HMGET', KEYS[1], 'owner', 'epoch')
if holder[1] == ARGV[1] and holder[2] == ARGV[2] then
  return redis.call('DEL', KEYS[1])
end
return 0
