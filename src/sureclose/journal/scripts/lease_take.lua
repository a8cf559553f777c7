-- KEYS: lease, epoch. ARGV: owner, time to live in ms. The epoch, or 0 while somebody else holds the lease.
-- Who takes it again gets a new epoch too: what it sent before under the old one must not be written any more.
local owner = redis.call('HGET', KEYS[1], 'owner')
if owner and owner ~= ARGV[1] then
  return 0
end
local epoch = redis.call('INCR', KEYS[2])
redis.call('HSET', KEYS[1], 'owner', ARGV[1], 'epoch', epoch)
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return epoch
