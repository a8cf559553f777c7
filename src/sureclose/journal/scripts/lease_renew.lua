-- KEYS: lease, last lease. ARGV: owner, epoch, time to live in ms. 1 when it is still this owner's. The first of the writes takes
-- no memory: a full server refuses a script that begins with one that does, and only who holds the lease may make room.
local holder = redis.call('HMGET', KEYS[1], 'owner', 'epoch')
if holder[1] == ARGV[1] and holder[2] == ARGV[2] then
  local last = redis.call('HGET', KEYS[2], 'epoch')
  local renewed = redis.call('PEXPIRE', KEYS[1], ARGV[3])
  if last == ARGV[2] then
    redis.call('HSET', KEYS[2], 'renewed_at', now_ms())
  end
  return renewed
end
return 0
