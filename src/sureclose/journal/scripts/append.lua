-- KEYS: close, journal, open, lease, finished, used-up ids now and before, log.
-- ARGV: owner, epoch, head, plan id, time, records, field of the id, what is known of the log.
local refused = lost(KEYS[8])
  or fenced(KEYS[4], ARGV[1], ARGV[2])
  or moved_on(KEYS[1], ARGV[3])
  or used_up(ARGV[3], KEYS[6], KEYS[7], ARGV[#ARGV - 1])
  or over(KEYS[1])
if refused then
  return { refused, '' }
end
must_be(KEYS[1], 'hash')
must_be(KEYS[2], 'stream')
must_be(KEYS[3], 'zset')
must_be(KEYS[5], 'zset')
record(KEYS[1], KEYS[2], ARGV[4], 6)
opened(KEYS[1], KEYS[3], KEYS[5], ARGV[4], ARGV[5])
return written(KEYS[8])
