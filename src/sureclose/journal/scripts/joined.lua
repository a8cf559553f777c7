-- KEYS: lease, log, orphans, reconciliation, authority events. ARGV: owner, epoch, the new identity of the log, the
-- identities before it, the run of its server, the orphans (a count, then client order id and order of each), the reconciliation (a count of
-- fields and values, then each), then the fields and values of the event. From here on the log is whole again: what it
-- had lost of the venue's orders stands among its orphans. Returns a word and the count of writes.
local refused = fenced(KEYS[1], ARGV[1], ARGV[2])
if refused then
  return { refused, '' }
end
must_be(KEYS[2], 'hash')
must_be(KEYS[3], 'hash')
must_be(KEYS[5], 'stream')
local at = 7
for _ = 1, tonumber(ARGV[6]) do
  redis.call('HSET', KEYS[3], ARGV[at], ARGV[at + 1])
  at = at + 2
end
local size = tonumber(ARGV[at])
redis.call('DEL', KEYS[4])
redis.call('HSET', KEYS[4], unpack(ARGV, at + 1, at + size))
redis.call('XADD', KEYS[5], '*', unpack(ARGV, at + size + 1))
redis.call('HSET', KEYS[2], 'id', ARGV[3], 'before', ARGV[4], 'run', ARGV[5])
return written(KEYS[2])
