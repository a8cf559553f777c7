-- KEYS: lease, epoch, last lease, reigns, grant. ARGV: owner, time to live in ms, the highest epoch that the owner knows of, component,
-- whether that is a controller (1 or 0), how many reigns are kept. The epoch, or 0 while somebody else holds the lease. Who
-- takes it again gets a new epoch too: what it sent before under the old one must not be written any more. A log that lost its
-- tail goes on above what was given out there. A controller whose grant was moved since it looked gets none. The first of the
-- writes takes no memory: a full server refuses a script that begins with one that does, and only who holds the lease may make room.
local owner = redis.call('HGET', KEYS[1], 'owner')
if owner and owner ~= ARGV[1] then
  return 0
end
if ARGV[5] == '1' and (redis.call('HGET', KEYS[5], 'component') or ARGV[4]) ~= ARGV[4] then
  return 0
end
must_be(KEYS[3], 'hash')
must_be(KEYS[4], 'stream')
local epoch = math.max(tonumber(redis.call('GET', KEYS[2]) or '0'), tonumber(ARGV[3])) + 1
redis.call('DEL', KEYS[1])
redis.call('SET', KEYS[2], string.format('%.0f', epoch))
redis.call('HSET', KEYS[1], 'owner', ARGV[1], 'epoch', epoch)
redis.call('PEXPIRE', KEYS[1], ARGV[2])
local now = now_ms()
if ARGV[5] == '1' then
  redis.call('HSET', KEYS[3], 'component', ARGV[4], 'owner', ARGV[1], 'epoch', epoch, 'renewed_at', now, 'dropped_at', '0')
end
redis.call('XADD', KEYS[4], 'MAXLEN', '~', ARGV[6], '*', 'owner', ARGV[1], 'epoch', epoch, 'component', ARGV[4], 'at', now)
return epoch
