-- KEYS: arming, authority events. ARGV: the new state, when, by whom, then the fields and values of the event. Whether an arming
-- stood (1 or 0): its end is said once. The record stays, so that it can be seen who had armed it.
must_be(KEYS[1], 'hash')
must_be(KEYS[2], 'stream')
if redis.call('HGET', KEYS[1], 'state') ~= 'ARMED' then
  return 0
end
redis.call('HSET', KEYS[1], 'state', ARGV[1], 'ended_at', ARGV[2], 'ended_by', ARGV[3])
redis.call('XADD', KEYS[2], '*', unpack(ARGV, 4))
return 1
