-- KEYS: authority events, ids of those of them that are news of health. ARGV: how many of those are kept, then the fields and
-- values of the event. What a person or a change of authority said stays; the oldest news of health goes.
must_be(KEYS[1], 'stream')
must_be(KEYS[2], 'list')
local id = redis.call('XADD', KEYS[1], '*', unpack(ARGV, 2))
redis.call('RPUSH', KEYS[2], id)
while redis.call('LLEN', KEYS[2]) > tonumber(ARGV[1]) do
  redis.call('XDEL', KEYS[1], redis.call('LPOP', KEYS[2]))
end
