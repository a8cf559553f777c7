-- Shared by the scripts that change a close. Everything is checked before the first write, for a script that
-- fails half-way keeps what it has written.

-- The server's own time in milliseconds.
local function now_ms()
  local time = redis.call('TIME')
  return string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000))
end

-- Nil when the caller holds the lease with this epoch, else the reason why not.
local function fenced(lease_key, owner, epoch)
  local lease = redis.call('HMGET', lease_key, 'owner', 'epoch')
  if lease[1] ~= owner or lease[2] ~= epoch then
    return 'STALE_LEASE'
  end
end

-- Nil when this log has all that the caller knows was acknowledged. The last of ARGV says which log that was, and how
-- many scripts had written to it: a log that was emptied, restored or failed over with a loss has another name or fewer.
local function lost(log_key)
  local id, count = ARGV[#ARGV]:match('^(%x*):(%d+)$')
  local log = redis.call('HMGET', log_key, 'id', 'written')
  if (id ~= '' and log[1] ~= id) or tonumber(log[2] or '0') < tonumber(count) then
    return 'LOG_LOST'
  end
end

-- The answer of a script that has written, with the count that includes it.
local function written(log_key)
  return { 'OK', '', redis.call('HINCRBY', log_key, 'written', 1) }
end

-- Nil when the chain stands where the caller thinks it stands.
local function moved_on(close_key, head)
  local stored = redis.call('HGET', close_key, 'head') or ''
  if stored ~= head then
    return 'STALE_HEAD'
  end
end

-- Nil while the safety controller is armed under the freeze that stands, and its sunset has not come.
local function unarmed(freeze_key, safety_key)
  local frozen_at = redis.call('HGET', freeze_key, 'at')
  if not frozen_at then
    return 'NOT_FROZEN'
  end
  local armed = redis.call('HMGET', safety_key, 'state', 'freeze_at', 'expires_at')
  if armed[1] ~= 'ARMED' or armed[2] ~= frozen_at or tonumber(armed[3] or '0') <= tonumber(now_ms()) then
    return 'NOT_ARMED'
  end
end

-- Nil when this plan may act at the venue: by its warrant, or by the component's grant while nothing is frozen. A close of the
-- safety controller acts by the right that was recorded for it alone, in the reign that it was begun in, while the controller
-- may: nobody makes a further attempt of it, neither after an unfreeze nor by a grant.
local function forbidden(warrant_key, freeze_key, grant_key, plan_id, component, safety_key, right_key, epoch)
  if redis.call('GET', warrant_key) == plan_id then
    return nil
  end
  local right = redis.call('GET', right_key)
  if right then
    if component == 'safety_controller' and right == plan_id .. ' ' .. epoch and not unarmed(freeze_key, safety_key) then
      return nil
    end
    return 'NOT_AUTHORISED'
  end
  if redis.call('EXISTS', freeze_key) == 1 then
    return 'FROZEN'
  end
  if component == 'safety_controller' or redis.call('HGET', grant_key, 'component') ~= component then
    return 'NOT_AUTHORISED'
  end
end

-- Nil while a close can be gone on with: one that has its outcome burns its id, unless it was skipped.
local function over(close_key)
  local state = redis.call('HGET', close_key, 'state')
  if state == 'DONE' or state == 'PARKED' then
    return 'STALE_HEAD'
  end
end

-- What is left of a close that was archived, or false: its id is used up.
local function burnt(now_key, before_key, field)
  return redis.call('HGET', now_key, field) or redis.call('HGET', before_key, field)
end

-- Nil unless a close would begin anew under an id that is used up.
local function used_up(head, now_key, before_key, field)
  if head == '' and burnt(now_key, before_key, field) then
    return 'BURNT'
  end
end

-- The plan by which an intent was sent at a position, or nil. A claim stands under its field in one of three buckets, of
-- this generation, of the one before and of the one after, that begin at KEYS[first].
local function claimed(first, field)
  for index = first, first + 2 do
    local plan_id = redis.call('HGET', KEYS[index], field)
    if plan_id then
      return plan_id
    end
  end
end

-- Gives the intent to the plan, for as long as a claim is known from now.
local function claim(first, field, plan_id, ttl)
  redis.call('HSET', KEYS[first], field, plan_id)
  redis.call('PEXPIRE', KEYS[first], ttl)
end

-- Takes it from the plan, if it has it.
local function give_back(first, field, plan_id)
  for index = first, first + 2 do
    if redis.call('HGET', KEYS[index], field) == plan_id then
      redis.call('HDEL', KEYS[index], field)
    end
  end
end

local function must_be(key, kind)
  local found = redis.call('TYPE', key).ok
  if found ~= 'none' and found ~= kind then
    error({ err = 'WRONGTYPE ' .. key .. ' is a ' .. found .. ' and should be a ' .. kind })
  end
end

-- Nil while grant and freeze are the record of that revision; both are hashes or nothing, and events go to a stream.
local function superseded(grant_key, freeze_key, events_key, revision)
  must_be(grant_key, 'hash')
  must_be(freeze_key, 'hash')
  must_be(events_key, 'stream')
  local highest = 0
  for _, key in ipairs({ grant_key, freeze_key }) do
    highest = math.max(highest, tonumber(redis.call('HGET', key, 'revision') or '0'))
  end
  if highest ~= tonumber(revision) then
    return 'MOVED'
  end
end

-- Counts a change that whoever guards the log must not lose; a log without an identity has nobody yet.
local function counted(log_key)
  if redis.call('HEXISTS', log_key, 'id') == 1 then
    redis.call('HINCRBY', log_key, 'written', 1)
  end
end

-- Appends the records that start at ARGV[first] (a count, then kind, body and hash of each) to the journal and notes
-- them on the close. Returns the index behind them.
local function record(close_key, journal_key, plan_id, first)
  local count = tonumber(ARGV[first])
  local ids = redis.call('HGET', close_key, 'records') or ''
  local at = first + 1
  local head
  for _ = 1, count do
    local id = redis.call('XADD', journal_key, '*', 'plan_id', plan_id, 'kind', ARGV[at], 'body', ARGV[at + 1],
      'hash', ARGV[at + 2])
    ids = ids == '' and id or (ids .. ' ' .. id)
    head = ARGV[at + 2]
    at = at + 3
  end
  if head then
    redis.call('HSET', close_key, 'head', head, 'records', ids)
  end
  return at
end

-- Notes that the close is under way, since ``time`` if it was not before.
local function opened(close_key, open_key, finished_key, plan_id, time)
  redis.call('HSET', close_key, 'state', 'OPEN')
  redis.call('ZADD', open_key, 'NX', time, plan_id)
  redis.call('ZREM', finished_key, plan_id)
end

-- Notes from when on a finished close may leave the log. A skipped one that was sent for stays as long as an id is
-- remembered: delivered again it goes on with its chain, and its attempt numbers only grow. Any skipped one stays for as long as
-- its decision is valid: it burns no id, so nothing else would tell another group that the entry has its outcome.
local function finished(close_key, finished_key, plan_id, state, time, retention, valid_until)
  if state == 'SKIPPED' and redis.call('HEXISTS', close_key, 'attempt') == 1 then
    time = time + retention
  elseif state == 'SKIPPED' then
    time = math.max(time, valid_until)
  end
  redis.call('ZADD', finished_key, string.format('%.0f', time), plan_id)
end

-- Events are one for each key from KEYS[first] on, in ARGV from ``at`` on: a count of fields and values, then each.
-- Raises an error when one could not be added.
local function check_events(first, at)
  for index = first, #KEYS do
    must_be(KEYS[index], 'stream')
    local size = tonumber(ARGV[at])
    if size < 2 or size % 2 == 1 then
      error({ err = 'ERR an event is names and values, and is not empty' })
    end
    at = at + size + 1
  end
end

local function add_events(first, at)
  for index = first, #KEYS do
    local size = tonumber(ARGV[at])
    local add = { KEYS[index], '*' }
    for offset = 1, size do
      add[offset + 2] = ARGV[at + offset]
    end
    redis.call('XADD', unpack(add))
    at = at + size + 1
  end
end
