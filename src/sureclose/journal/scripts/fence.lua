-- Shared by the scripts that change a close. Everything is checked before the first write, for a script that
-- fails half-way keeps what it has written.

-- Nil when the caller holds the lease with this epoch, else the reason why not.
local function fenced(lease_key, owner, epoch)
  local lease = redis.call('HMGET', lease_key, 'owner', 'epoch')
  if lease[1] ~= owner or lease[2] ~= epoch then
    return 'STALE_LEASE'
  end
end

-- Nil when the chain stands where the caller thinks it stands.
local function moved_on(close_key, head)
  local stored = redis.call('HGET', close_key, 'head') or ''
  if stored ~= head then
    return 'STALE_HEAD'
  end
end

-- Nil when this plan may act at the venue: by its warrant, or by the component's grant while nothing is frozen.
local function forbidden(warrant_key, freeze_key, grant_key, plan_id, component)
  if redis.call('GET', warrant_key) == plan_id then
    return nil
  end
  if redis.call('EXISTS', freeze_key) == 1 then
    return 'FROZEN'
  end
  if redis.call('HGET', grant_key, 'component') ~= component then
    return 'NOT_AUTHORISED'
  end
end

local function must_be(key, kind)
  local found = redis.call('TYPE', key).ok
  if found ~= 'none' and found ~= kind then
    error({ err = 'WRONGTYPE ' .. key .. ' is a ' .. found .. ' and should be a ' .. kind })
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
