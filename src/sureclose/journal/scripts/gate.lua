-- KEYS: close, journal, open, lease, flight, grant, freeze, warrant.
-- ARGV: owner, epoch, head, plan id, time, attempt, component, records (the last of them is SENDING).
local refused = fenced(KEYS[4], ARGV[1], ARGV[2]) or moved_on(KEYS[1], ARGV[3])
if refused then
  return { refused, '' }
end
if redis.call('HGET', KEYS[1], 'state') == 'DONE' then
  return { 'STALE_HEAD', 'DONE' }
end
local attempt = tonumber(redis.call('HGET', KEYS[1], 'attempt') or '0')
if attempt + 1 ~= tonumber(ARGV[6]) then
  return { 'STALE_ATTEMPT', tostring(attempt) }
end
if redis.call('GET', KEYS[8]) ~= ARGV[4] then
  if redis.call('EXISTS', KEYS[7]) == 1 then
    return { 'FROZEN', '' }
  end
  if redis.call('HGET', KEYS[6], 'component') ~= ARGV[7] then
    return { 'NOT_AUTHORISED', redis.call('HGET', KEYS[6], 'component') or '' }
  end
end
local flight = redis.call('GET', KEYS[5])
if flight and flight ~= ARGV[4] then
  return { 'BUSY', flight }
end
must_be(KEYS[1], 'hash')
must_be(KEYS[2], 'stream')
must_be(KEYS[3], 'zset')
record(KEYS[1], KEYS[2], ARGV[4], 8)
redis.call('HSET', KEYS[1], 'state', 'OPEN', 'attempt', ARGV[6])
redis.call('PERSIST', KEYS[1])
redis.call('ZADD', KEYS[3], 'NX', ARGV[5], ARGV[4])
redis.call('SET', KEYS[5], ARGV[4])
return { 'OK', '' }
