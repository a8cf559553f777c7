-- KEYS: book, log, then of a proposal the stream that it is published to, then of one that is a wish what is remembered of it.
-- ARGV: field of the book, what was read there (empty for nothing), what it is now; then of a proposal a count of names and values
-- of the entry, each; then of a wish the life of its record in ms, a count of names and values of the record, each.
-- The book changes only where it still is what the caller has read, and together with what it says was published: of two processes
-- one advances, and a crash leaves both or neither. Of a wish that is known already nothing is written. Returns a word, the entry id, the record.
local function part(at)
  local size = tonumber(ARGV[at])
  local found = {}
  for offset = 1, size do
    found[offset] = ARGV[at + offset]
  end
  return found, at + size + 1
end
must_be(KEYS[1], 'hash')
if (redis.call('HGET', KEYS[1], ARGV[1]) or '') ~= ARGV[2] then
  return { 'MOVED', '', {} }
end
local id, known = '', {}
if KEYS[3] then
  must_be(KEYS[3], 'stream')
  local entry, behind = part(4)
  if KEYS[4] then
    must_be(KEYS[4], 'hash')
    known = redis.call('HGETALL', KEYS[4])
    if #known > 0 then
      return { 'KNOWN', '', known }
    end
    local record = part(behind + 1)
    id = redis.call('XADD', KEYS[3], '*', unpack(entry))
    redis.call('HSET', KEYS[4], 'entry_id', id, unpack(record))
    redis.call('PEXPIRE', KEYS[4], ARGV[behind])
  else
    id = redis.call('XADD', KEYS[3], '*', unpack(entry))
  end
end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
counted(KEYS[2])
return { 'OK', id, known }
