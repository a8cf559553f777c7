-- KEYS: close, journal, used-up ids now, used-up ids before. ARGV: field of the id. Only reads: what the log knows of a
-- plan, in one round trip. Returns what is left of a close that was archived, or nothing and head, state and records.
local close = redis.call('HMGET', KEYS[1], 'head', 'state', 'records')
if not close[1] then
  return { redis.call('HGET', KEYS[3], ARGV[1]) or redis.call('HGET', KEYS[4], ARGV[1]) or '' }
end
local records = {}
for id in (close[3] or ''):gmatch('%S+') do
  records[#records + 1] = redis.call('XRANGE', KEYS[2], id, id)[1]
end
return { '', close[1], close[2] or 'OPEN', records }
