-- Anchors one segment and lets its closes go. KEYS: lease, journal, finished, anchors, log, then for each close: its hash,
-- the bucket of its id, and for each of its orders the order and the bucket of its id.
-- ARGV: owner, epoch, hash of the anchor before, number of the segment, body and hash of the new anchor, time to live of
-- the buckets in ms, count of closes; for each close: plan id, head, state, field of the id, what stays of it (nothing when
-- the id is not used up), count of orders, and the field of each; last what is known of the log.
local refused = lost(KEYS[5]) or fenced(KEYS[1], ARGV[1], ARGV[2])
if refused then
  return { refused, '' }
end
must_be(KEYS[2], 'stream')
must_be(KEYS[3], 'zset')
must_be(KEYS[4], 'stream')
local last = redis.call('XREVRANGE', KEYS[4], '+', '-', 'COUNT', 1)[1]
if (last and last[2][4] or '') ~= ARGV[3] then
  return { 'STALE_HEAD', '' }
end
local key, at = 6, 9
local closes = {}
for index = 1, tonumber(ARGV[8]) do
  local stored = redis.call('HMGET', KEYS[key], 'head', 'state', 'records')
  if stored[1] ~= ARGV[at + 1] or stored[2] ~= ARGV[at + 2] then
    return { 'STALE_HEAD', ARGV[at] }
  end
  if stored[2] ~= 'DONE' and stored[2] ~= 'SKIPPED' then
    return { 'NOT_FINISHED', ARGV[at] }
  end
  local orders = tonumber(ARGV[at + 5])
  must_be(KEYS[key + 1], 'hash')
  for order = 1, orders do
    must_be(KEYS[key + 2 * order + 1], 'hash')
  end
  closes[index] = { key = key, at = at, orders = orders, records = stored[3] }
  key = key + 2 + 2 * orders
  at = at + 6 + orders
end
-- First of the writes, for a full server refuses a script that begins with one that takes memory, and this one frees it.
for _, close in ipairs(closes) do
  redis.call('ZREM', KEYS[3], ARGV[close.at])
end
redis.call('XADD', KEYS[4], ARGV[4] .. '-0', 'body', ARGV[5], 'hash', ARGV[6])
-- A bucket is written to within its generation only, so what it got last has a generation left of two.
local function note(bucket, field, value)
  redis.call('HSET', bucket, field, value)
  if redis.call('HLEN', bucket) == 1 then
    redis.call('PEXPIRE', bucket, ARGV[7])
  end
end
for _, close in ipairs(closes) do
  if ARGV[close.at + 4] ~= '' then
    note(KEYS[close.key + 1], ARGV[close.at + 3], ARGV[close.at + 4])
  end
  local gone = { KEYS[close.key] }
  for order = 1, close.orders do
    note(KEYS[close.key + 2 * order + 1], ARGV[close.at + 5 + order], '')
    gone[#gone + 1] = KEYS[close.key + 2 * order]
  end
  local ids = {}
  for id in close.records:gmatch('%S+') do
    ids[#ids + 1] = id
  end
  for first = 1, #ids, 1000 do
    redis.call('XDEL', KEYS[2], unpack(ids, first, math.min(first + 999, #ids)))
  end
  for first = 1, #gone, 1000 do
    redis.call('DEL', unpack(gone, first, math.min(first + 999, #gone)))
  end
end
return written(KEYS[5])
