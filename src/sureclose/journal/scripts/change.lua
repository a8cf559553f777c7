-- KEYS: grant, freeze, authority events, log, lease, last lease. ARGV: the revision that was read, the epoch of the last lease
-- where nobody may hold one now (else nothing), then lists of a count of fields and values and each of them: the grant, the
-- freeze (what is empty is taken away), and every event. MOVED when the record is another one by now, HELD when somebody has
-- the lease.
must_be(KEYS[1], 'hash')
must_be(KEYS[2], 'hash')
must_be(KEYS[3], 'stream')
local function revision(key)
  return tonumber(redis.call('HGET', key, 'revision') or '0')
end
if math.max(revision(KEYS[1]), revision(KEYS[2])) ~= tonumber(ARGV[1]) then
  return 'MOVED'
end
if ARGV[2] ~= '' and (redis.call('EXISTS', KEYS[5]) == 1 or redis.call('HGET', KEYS[6], 'epoch') ~= ARGV[2]) then
  return 'HELD'
end
local lists = {}
local at = 3
while at <= #ARGV do
  local size = tonumber(ARGV[at])
  lists[#lists + 1] = { unpack(ARGV, at + 1, at + size) }
  at = at + size + 1
end
for index, list in ipairs(lists) do
  if index <= 2 then
    redis.call('DEL', KEYS[index])
    if #list > 0 then
      redis.call('HSET', KEYS[index], unpack(list))
    end
  else
    redis.call('XADD', KEYS[3], '*', unpack(list))
  end
end
if redis.call('HEXISTS', KEYS[4], 'id') == 1 then
  redis.call('HINCRBY', KEYS[4], 'written', 1)
end
return 'OK'
